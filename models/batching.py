"""Work in batches that are halved when memory runs out. Knows nothing of what is computed."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)

T = TypeVar("T")


def in_batches(count: int, batch_size: int, make: Callable[[slice], list[T]]) -> list[T]:
    """Results of `make` over rows 0 to count, at most `batch_size` rows a call, halved when memory runs out."""
    results: list[T] = []
    while len(results) < count:
        rows = slice(len(results), min(len(results) + batch_size, count))
        size = rows.stop - rows.start
        try:
            results += make(rows)
            continue
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            batch_size = size // 2
        logger.warning("out of memory with %d samples in a batch: continuing with %d", size, batch_size)
        torch.cuda.empty_cache()
    return results
