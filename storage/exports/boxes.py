"""The boxes of exported samples, computed from their masks. Knows no format.

The dataset's column `box` is not used: for samples cut before release 0.1.0 it bounds the mask's largest component
until a recut, but an export's boxes must agree with its annotations.
"""

from collections.abc import Sequence

import numpy as np

from models.cut.masks import box
from storage.dataset.reader import Dataset
from storage.dataset.shards import array_of

BLOCK = 256  # masks read together


def boxes_of(dataset: Dataset, indices: Sequence[int]) -> np.ndarray:
    """Box of all pixels of each sample's mask, (n, 4) int32: x0, y0, x1, y1, exclusive ends; zeros if it is empty."""
    masks = array_of(dataset.group, "mask")
    blocks = [np.array(indices[start : start + BLOCK]) for start in range(0, len(indices), BLOCK)]
    boxes = [box(mask) for block in blocks for mask in np.asarray(masks.oindex[block])]
    return np.array(boxes, dtype=np.int32).reshape(-1, 4)
