"""Binary masks: components, cleaning, bounding boxes. Knows nothing of how a mask was made.

Letters: H, W image pixels.
"""

import numpy as np
from scipy import ndimage


def clean(mask: np.ndarray, min_component: float, max_hole: float) -> np.ndarray:
    """Drop components below min_component of the largest, then fill holes below max_hole of the image; (H, W) bool.

    Components connect by sides or corners, holes by sides only; a gap that reaches the image's edge is not a hole.
    """
    if min_component:
        parts, areas = components(mask, np.ones((3, 3)))
        kept = areas >= min_component * areas.max(initial=0)
        mask = np.concatenate([[False], kept])[parts]
    if max_hole:
        gaps, areas = components(~mask)
        filled = np.concatenate([[True], areas < max_hole * mask.size])  # label 0 is the object itself
        edge = np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])
        filled[edge[edge > 0]] = False
        mask = filled[gaps]
    return mask


def components(mask: np.ndarray, structure: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Connected components of (H, W) bool: their labels from 1, (H, W) int, and their areas in pixels, (parts,)."""
    parts, count = ndimage.label(mask, structure)
    return parts, np.bincount(parts.ravel(), minlength=count + 1)[1:]


def border_of(mask: np.ndarray) -> float:
    """Share of the image's outermost pixels that the mask covers, (H, W) bool -> [0, 1]."""
    outermost = np.ones_like(mask)
    outermost[1:-1, 1:-1] = False
    return float(mask[outermost].mean())


def num_components_of(mask: np.ndarray) -> int:
    """Number of connected components of (H, W) bool; pixels that touch at a corner are connected."""
    return len(components(mask, np.ones((3, 3)))[1])


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Bounding box (x0, y0, x1, y1) of all pixels of (H, W) bool, x1 and y1 exclusive; zeros if it is empty."""
    if not mask.any():
        return 0, 0, 0, 0
    y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1


def largest_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """`box` of the largest component of (H, W) bool, as LOST and TokenCut do for CorLoc.

    Pixels that touch at a corner are connected; of components of equal size, the first in row-major order is used.
    """
    parts, areas = components(mask, np.ones((3, 3)))
    return box(parts == 1 + areas.argmax()) if len(areas) else (0, 0, 0, 0)
