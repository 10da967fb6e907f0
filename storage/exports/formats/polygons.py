"""Masks as polygons that reproduce the same pixels. Knows nothing of formats."""

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours


def polygons(mask: np.ndarray) -> list[np.ndarray]:
    """One polygon (n, 2) of x, y in pixels for each component of a mask (H, W) bool, its holes joined to it.

    Pixel (i, j) covers [j, j + 1] x [i, i + 1]. The lines pass midway between the centres of pixels inside and
    outside, so a pixel belongs to the mask if its centre is inside by the even-odd rule. This is exact, except for
    readers that also fill the pixels a line touches. Components are 4-connected.
    """
    labels, _ = ndimage.label(mask)
    outlines = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        rings = _rings(labels[rows, columns] == label)
        outlines.append(joined([ring + (columns.start, rows.start) for ring in rings]))
    return outlines


def joined(rings: list[np.ndarray]) -> np.ndarray:
    """Rings as one polygon: a line leads from the first ring's first point to each further ring and back."""
    start = rings[0][:1]
    return rings[0] if len(rings) == 1 else np.concatenate([part for r in rings for part in (r, r[:1], start)])


def has_holes(mask: np.ndarray) -> bool:
    """Whether background is enclosed by the mask (H, W) bool."""
    return bool((ndimage.binary_fill_holes(mask, np.ones((3, 3))) != mask).any())


def _rings(component: np.ndarray) -> list[np.ndarray]:
    """The outlines of one component and of its holes, (n, 2) of x, y, with a point at each bend."""
    contours = find_contours(np.pad(component, 1).astype(np.float32), 0.5, fully_connected="low")
    # Row and column of a padded pixel's centre become x and y of its place in the picture.
    rings = [contour[:-1, ::-1] - 0.5 for contour in contours]
    return [ring[_bends(ring)] for ring in rings]


def _bends(ring: np.ndarray) -> np.ndarray:
    """Whether a ring bends at each of its points (n, 2), (n,) bool; exact, since coordinates are multiples of 0.5."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.asarray(before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0])
