"""Diversity of a dataset's prompts: distinct n-grams, and the mean distance of their embeddings.

Knows nothing of the prompts' source. Texts and arrays in, plain numbers out.
"""

import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MEASURED = 1000  # at most this many prompts, evenly spaced: the measures depend on their number
HASHED = "hashed words"
WIDTH = 1024  # of a hashed embedding
Embed = Callable[[list[str]], NDArray[Any]]  # (N,) texts -> (N, D) unit vectors


def prompt_diversity(
    prompts: Sequence[str], categories: Sequence[str], embed: tuple[str, Embed] | None = None
) -> dict[str, Any]:
    """distinct_1 to distinct_3, spread and spread_within of at most 1,000 of the prompts, with counts and the encoder.

    distinct_n: fraction of distinct n-grams of words among all n-grams (Li et al. 2016, arXiv 1510.03055), in (0, 1];
    it falls with the number of prompts, so compare at equal `measured`. spread: mean cosine distance of the embeddings
    of two different prompts, in [0, 2]. spread_within: the same within a class, averaged over the classes with at
    least two prompts. Values are None if there are too few prompts. `embed` is a text encoder and its name; without it
    words and pairs of words are hashed to 1,024 counts.
    """
    chosen = np.linspace(0, len(prompts) - 1, min(len(prompts), MEASURED)).round().astype(int)
    texts, names = [str(prompts[i]) for i in chosen], np.asarray([str(categories[i]) for i in chosen])
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    name, encode = embed or (HASHED, hashed)
    vectors = np.asarray(encode(texts), dtype=np.float64) if texts else np.zeros((0, WIDTH))
    within = [spread(vectors[names == category]) for category in np.unique(names)]
    measured = [distance for distance in within if distance is not None]
    return {
        "prompts": len(prompts),
        "measured": len(texts),
        **{f"distinct_{n}": _distinct(words, n) for n in (1, 2, 3)},
        "embedding": name,
        "spread": spread(vectors),
        "spread_within": float(np.mean(measured)) if measured else None,
    }


def diversity_of(frame: pd.DataFrame, embed: tuple[str, Embed] | None = None) -> dict[str, Any]:
    """`prompt_diversity` of a dataset's table."""
    return prompt_diversity(frame["prompt"].tolist(), frame["category"].tolist(), embed)


def spread(vectors: NDArray[np.float64]) -> float | None:
    """Mean cosine distance of two different rows of (N, D) unit vectors; None for fewer than two rows.

    The mean over all pairs of u.v is (|sum u|^2 - N) / N(N - 1).
    """
    count = len(vectors)
    if count < 2:
        return None
    total = vectors.sum(axis=0)
    return float(1 - (total @ total - (vectors * vectors).sum()) / (count * (count - 1)))


def hashed(texts: list[str]) -> NDArray[np.float64]:
    """(N, 1024) unit vectors: counts of words and of pairs of consecutive words, indexed by their CRC-32."""
    vectors = np.zeros((len(texts), WIDTH))
    for vector, text in zip(vectors, texts, strict=True):
        words = re.findall(r"\w+", text.lower())
        for term in [*words, *map(" ".join, itertools.pairwise(words))]:
            vector[zlib.crc32(term.encode()) % WIDTH] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _distinct(texts: list[list[str]], n: int) -> float | None:
    grams = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None
