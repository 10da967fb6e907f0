"""Measures of one image and its mask: colour contrast, size, position and shape. Arrays in, numbers out.

Knows nothing of datasets, folders or tables. Letters: H, W image pixels; V vertices.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from analysis.shapes import Normalisation, outline, polygon, polygon_length

# Statistic -> its name, in the order of the tables
STATISTICS = {
    "contrast": "colour contrast (std of grey)",
    "contrast_rgb": "colour contrast (std of RGB)",
    "fg_bg_distance": "object against ground (chi-square of colours)",
    "size": "object size (share of the image)",
    "centre_x": "centre, from left to right",
    "centre_y": "centre, from top to bottom",
    "centre_distance": "distance from the image's centre",
    "complexity": "shape complexity (vertices)",
    "polygon_length": "polygon length",
}
BINS = 8  # of each colour channel: 512 colours


@dataclass(frozen=True)
class Measured:
    """One sample's statistics by name, NaN if undefined, and its polygon (V, 2), None for an empty mask."""

    statistics: dict[str, float]
    polygon: np.ndarray | None


def measure(
    image: np.ndarray, mask: np.ndarray, normalisation: Normalisation = "joint", void: np.ndarray | None = None
) -> Measured:
    """image: (H, W, 3) uint8; mask: (H, W) bool. Position and shape are those of the object's largest outline.

    void: (H, W) bool, pixels that are not judged: they do not count as ground where object and ground are compared.
    """
    grey, rgb = contrast(image)
    values = dict.fromkeys(STATISTICS, float("nan"))
    values |= {"contrast": grey, "contrast_rgb": rgb, "fg_bg_distance": fg_bg_distance(image, mask, void)}
    values["size"] = float(mask.mean())
    contour = outline(mask)
    if contour is None:
        return Measured(values, None)
    x, y = centre(contour, mask.shape)
    values |= {"centre_x": x, "centre_y": y, "centre_distance": float(np.hypot(x - 0.5, y - 0.5) / np.hypot(0.5, 0.5))}
    vertices = polygon(contour, normalisation)
    values |= {"complexity": float(len(vertices)), "polygon_length": polygon_length(vertices)}
    return Measured(values, vertices)


def contrast(image: np.ndarray) -> tuple[float, float]:
    """Standard deviation of 8-bit grey, and of all values of the three channels; both in [0, 127.5]."""
    _, grey = cv2.meanStdDev(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    means, deviations = cv2.meanStdDev(image)  # per channel, (3, 1)
    return float(grey[0, 0]), float(np.sqrt((deviations**2).mean() + means.var()))


def fg_bg_distance(image: np.ndarray, mask: np.ndarray, void: np.ndarray | None = None) -> float:
    """Chi-square distance of the colour histograms p of the object and q of the background, in [0, 1].

    sum (p - q)^2 / (2 (p + q)) over 512 colours, 8 levels per channel, without void pixels. NaN if the mask is empty or
    covers the image.
    """

    def histogram(where: np.ndarray | None) -> np.ndarray:
        return cv2.calcHist([image], [0, 1, 2], where, [BINS] * 3, [0, 256] * 3).ravel()

    inside = histogram(mask.astype(np.uint8))
    outside = histogram(None if void is None else (~void).astype(np.uint8)) - inside
    if not inside.any() or not outside.any():
        return float("nan")
    p, q = inside / inside.sum(), outside / outside.sum()
    both = p + q
    return float(((p - q) ** 2 / np.where(both > 0, both, 1)).sum() / 2)


def centre(contour: np.ndarray, size: tuple[int, ...]) -> tuple[float, float]:
    """Centre of a contour's bounding box as fractions of the image's size (H, W): x, y in [0, 1]."""
    x, y, width, height = cv2.boundingRect(contour)
    return (x + width / 2) / size[1], (y + height / 2) / size[0]
