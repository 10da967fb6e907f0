"""AttentionCut: the object mask of an image from the attention of the model that drew it.

Work in progress: the records that others build on.
"""

from dataclasses import dataclass

import numpy as np

OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (dy, dx): right, down, down-right, down-left


@dataclass(frozen=True)
class Evidence:
    """What a mask is solved from, on the attention grid.

    class_map: (h, w) float32 >= 0, A_c before normalisation; refined: (h, w) float32 >= 0, r(p) before normalisation;
    affinities: (4, h, w) float32 >= 0, symmetrised A_s between p and p + OFFSETS[d], 0 where that neighbour is outside.
    """

    class_map: np.ndarray
    refined: np.ndarray
    affinities: np.ndarray


@dataclass(frozen=True)
class Cut:
    """A solved mask.

    mask: (H, W) bool, after post-processing; objectness: (h, w) float32 in [0, 1]; uncertainty in [0, 1];
    energy: eq. 6 of the cut before post-processing, on the grid it was solved on; num_clamped: cells of the objectness that were clamped.
    """

    mask: np.ndarray
    objectness: np.ndarray
    uncertainty: float
    energy: float
    num_clamped: int
