"""How like an earlier one a sample is: of images by their embeddings, of prompts by their words.

Arrays and texts in, a similarity each out; knows nothing of classes, thresholds or screening. O(N^2) in blocks.

Letters: n samples, D embedding's width, V words of the vocabulary.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

BLOCK = 256  # rows compared at once: with 50,000 samples 50 MB
DECIMALS = 4  # float32 products differ beyond, by what shares a block

Compare = Callable[[slice, slice], np.ndarray]


def image_similarity(embeddings: np.ndarray) -> np.ndarray:
    """Largest cosine of each embedding to one before it: (n, D) floating -> (n,) float32, the first -inf."""
    lengths = np.linalg.norm(embeddings.astype(np.float32), axis=1, keepdims=True)
    unit = embeddings.astype(np.float32) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return _largest_earlier(lambda rows, others: unit[rows] @ unit[others].T, len(unit))


def prompt_similarity(prompts: Sequence[str]) -> np.ndarray:
    """Largest Jaccard index of each prompt's words and those of one before it, (n,) float32; the first -inf."""
    found = [words(prompt) for prompt in prompts]
    position = {word: i for i, word in enumerate(sorted(set().union(*found)))}
    columns = [position[word] for each in found for word in sorted(each)]
    sizes = np.array([len(each) for each in found], dtype=np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    table = sparse.csr_array(
        (np.ones(len(columns), np.float32), columns, starts), shape=(len(found), max(1, len(position)))
    )  # (n, V)

    def jaccard(rows: slice, others: slice) -> np.ndarray:
        shared = (table[rows] @ table[others].T).toarray()
        return shared / np.maximum(sizes[rows, None] + sizes[others] - shared, 1)

    return _largest_earlier(jaccard, len(found))


def words(prompt: str) -> frozenset[str]:
    """A prompt's words, without case, punctuation and order."""
    return frozenset(re.findall(r"\w+", unicodedata.normalize("NFKC", prompt).casefold()))


def _largest_earlier(compare: Compare, count: int) -> np.ndarray:
    """Largest similarity of each row to one before it, (count,) float32; the first has none, which is -inf."""
    largest = np.full(count, -np.inf, dtype=np.float32)
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        similar = compare(rows, slice(0, rows.stop))  # (b, stop)
        similar[:, start:][np.triu_indices(rows.stop - start)] = -np.inf
        largest[rows] = similar.max(axis=1)
    return np.round(largest, DECIMALS)
