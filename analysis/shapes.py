"""The shape of masks: the outline as a polygon, its complexity and length, and the distance between shapes.

DiffusionSeg's appendix 6.1.3 (arXiv 2303.09813): outlines by OpenCV's findContours, external and without the points of
straight runs, through the centres of the outermost pixels; normalised; simplified by Douglas-Peucker. Arrays in,
numbers out: knows nothing of datasets or folders.

Letters: H, W image pixels; V vertices of a polygon, x before y.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np
from scipy.spatial.distance import cdist

from models.errors import UserError

Normalisation = Literal["joint", "longest-side", "per-axis"]
EPSILON = 0.01  # Douglas-Peucker threshold for a normalised polygon


def outline(mask: np.ndarray) -> np.ndarray | None:
    """The external contour with the largest area, closed: (H, W) bool -> (V, 2) int32 pixels; None if it is empty."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contours = [contour[:, 0] for contour in outlines]
    return max(contours, key=lambda contour: (cv2.contourArea(contour), len(contour)), default=None)


def polygon(contour: np.ndarray, normalisation: Normalisation = "joint") -> np.ndarray:
    """A contour, (V, 2) pixels, normalised and simplified: (V', 2) float32 in [0, 1].

    Appendix 6.1.3 has p <- (p - p_min) / (p_max - p_min) and does not define p_min and p_max. `joint`: one minimum and
    one maximum over x and y together, which comes closest to the published polygon length; it depends on the object's
    position in the image. `longest-side`: the bounding box's corner and longer side. `per-axis`: its corner and both
    sides, so that every shape fills the unit square.
    """
    if normalisation not in get_args(Normalisation):
        raise UserError(f"normalisation: expected one of {', '.join(get_args(Normalisation))}, got {normalisation!r}")
    points = contour.astype(np.float64)
    axis = None if normalisation == "joint" else 0
    low, span = points.min(axis), np.ptp(points, axis)
    if normalisation == "longest-side":
        span = span.max()
    unit = (points - low) / np.where(span > 0, span, 1)  # a single pixel has no side
    return cv2.approxPolyDP(unit.astype(np.float32), EPSILON, True)[:, 0]


def polygon_length(vertices: np.ndarray) -> float:
    """Perimeter of a closed polygon, (V, 2)."""
    return float(np.linalg.norm(vertices - np.roll(vertices, 1, axis=0), axis=1).sum())


def chamfer(one: np.ndarray, other: np.ndarray) -> float:
    """Eq. 12: squared distances to the nearest vertex of the other polygon, summed over the vertices of both."""
    squared = cdist(one, other, "sqeuclidean")  # (V, V')
    return float(squared.min(axis=0).sum() + squared.min(axis=1).sum())


def pair_distances(polygons: Sequence[np.ndarray], pairs: int, seed: int) -> np.ndarray:
    """Chamfer distances of `pairs` pairs of two different polygons, drawn independently; (pairs,).

    If there are at most `pairs` pairs, each is used once; fewer than two polygons give an empty array. The mean of the
    distances is the shape diversity.
    """
    count = len(polygons)
    if count * (count - 1) // 2 <= pairs:
        first, second = np.triu_indices(count, 1)
    else:
        rng = np.random.default_rng(seed)
        first = rng.integers(count, size=pairs)
        second = (first + rng.integers(1, count, size=pairs)) % count
    return np.array([chamfer(polygons[i], polygons[j]) for i, j in zip(first, second, strict=True)])
