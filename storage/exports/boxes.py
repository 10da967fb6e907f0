"""The boxes of exported samples, made of their masks. Knows no format.

A dataset's own column `box` is not used: samples that maskmill cut before 0.1.0 was released keep in it the box of the
mask's largest component, until a recut, and an export's boxes and annotations are to agree, whatever made the sample.
"""

from collections.abc import Sequence

import numpy as np

from models.cut.masks import box
from storage.dataset.reader import Dataset
from storage.dataset.shards import array_of

BLOCK = 256  # masks read together


def boxes_of(dataset: Dataset, indices: Sequence[int]) -> np.ndarray:
    """Box of all pixels of each sample's mask, (n, 4) int32: x0, y0, x1, y1, exclusive ends, zeros of an empty mask."""
    masks = array_of(dataset.group, "mask")
    blocks = [np.array(indices[start : start + BLOCK]) for start in range(0, len(indices), BLOCK)]
    found = [box(mask) for block in blocks for mask in np.asarray(masks.oindex[block])]
    return np.array(found, dtype=np.int32).reshape(-1, 4)
