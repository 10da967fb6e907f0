"""How similar a sample is to an earlier one: images by their embeddings, prompts by their words.

Arrays and texts in, similarities out; knows nothing of classes, thresholds or screening. O(n^2) in blocks.

Letters: n samples, D embedding's width, V words of the vocabulary.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

BLOCK = 256  # rows compared at once: 50 MB for 50,000 samples
DECIMALS = 4  # float32 products depend on the block in further decimals

Compare = Callable[[slice, slice], np.ndarray]


def image_similarity(embeddings: np.ndarray) -> np.ndarray:
    """Largest cosine of each embedding to an earlier one: (n, D) floating -> (n,) float32, the first -inf."""
    lengths = np.linalg.norm(embeddings.astype(np.float32), axis=1, keepdims=True)
    unit = embeddings.astype(np.float32) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return _largest_earlier(lambda rows, others: unit[rows] @ unit[others].T, len(unit))


def prompt_similarity(prompts: Sequence[str]) -> np.ndarray:
    """Largest Jaccard index of each prompt's words with those of an earlier prompt, (n,) float32; the first -inf."""
    word_sets = [words(prompt) for prompt in prompts]
    position = {word: i for i, word in enumerate(sorted(set().union(*word_sets)))}
    columns = [position[word] for word_set in word_sets for word in sorted(word_set)]
    sizes = np.array([len(word_set) for word_set in word_sets], dtype=np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    table = sparse.csr_array(
        (np.ones(len(columns), np.float32), columns, starts), shape=(len(word_sets), max(1, len(position)))
    )  # (n, V)

    def jaccard(rows: slice, others: slice) -> np.ndarray:
        shared = (table[rows] @ table[others].T).toarray()
        return shared / np.maximum(sizes[rows, None] + sizes[others] - shared, 1)

    return _largest_earlier(jaccard, len(word_sets))


def words(prompt: str) -> frozenset[str]:
    """The set of a prompt's words, ignoring case and punctuation."""
    return frozenset(re.findall(r"\w+", unicodedata.normalize("NFKC", prompt).casefold()))


def _largest_earlier(compare: Compare, count: int) -> np.ndarray:
    """Largest similarity of each row to an earlier one, (count,) float32; -inf for the first."""
    largest = np.full(count, -np.inf, dtype=np.float32)
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        similar = compare(rows, slice(0, rows.stop))  # (b, stop)
        similar[:, start:][np.triu_indices(rows.stop - start)] = -np.inf
        largest[rows] = similar.max(axis=1)
    return np.round(largest, DECIMALS)
