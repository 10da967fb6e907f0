"""Adaptive thresholds: where a map falls into two levels, read from the map itself (Otsu 1979). Needs only numpy.

The paper's tau and its decision level of one half fit maps whose ground is near 0. A class map with a ground of some
tenths lies above both nearly everywhere. Here both levels come from the image: tau lies at or above Otsu's threshold of
A_c, the decision level at Otsu's threshold of the sum A_c + alpha r, and of a few tau and alpha those are taken whose
sum is explained best by its two levels (docs/decisions/adaptive-cut.md has the figures).

Maps are (h, w) floating, normalised to [0, 1] where they are called so. Knows nothing of seeds or of graphs.
"""

from dataclasses import dataclass

import numpy as np

TAU_STEPS = (0.0, 0.25, 0.5)  # tau is tried this share of the way from Otsu's threshold of A_c to its top
ALPHAS = (0.0, 1.0, 2.5)  # weights of r(p) that are tried; 2.5 is the paper's


@dataclass(frozen=True)
class Levels:
    """The two levels of a map. threshold: what divides them; explained: the share of the variance between them, 0 to 1.

    A constant map has no levels: its threshold is its value, and nothing is explained.
    """

    threshold: float
    explained: float


def two_levels(values: np.ndarray) -> Levels:
    """The division of a map's values into two groups that leaves the least variance within them (Otsu 1979), exactly.

    Equivariant: a map scaled by a positive factor, or with a constant added, is divided alike.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    count, total = np.arange(1, ordered.size), ordered.cumsum()
    variance = ordered.var()
    distinct = ordered[1:] > ordered[:-1]
    if not distinct.any() or variance == 0:
        return Levels(float(ordered[-1]), 0.0)
    low, high = total[:-1] / count, (total[-1] - total[:-1]) / (ordered.size - count)
    between = count * (ordered.size - count) * (high - low) ** 2 / ordered.size**2
    best = int(np.argmax(np.where(distinct, between, -1)))
    return Levels(float(ordered[best] + ordered[best + 1]) / 2, min(1.0, float(between[best] / variance)))


def taus_of(class_map: np.ndarray) -> tuple[float, ...]:
    """The tau that are tried on a normalised class map, ascending, each below its top."""
    threshold = two_levels(class_map).threshold
    return tuple(threshold + step * (1 - threshold) for step in TAU_STEPS)


def best_sum(class_map: np.ndarray, refined: np.ndarray) -> tuple[np.ndarray, Levels]:
    """A_c + alpha r of two normalised maps, (h, w) float32, with the alpha whose sum its levels explain best."""
    sums = [class_map + np.float32(alpha) * refined for alpha in ALPHAS]
    levels = [two_levels(total) for total in sums]
    best = int(np.argmax([level.explained for level in levels]))
    return sums[best], levels[best]


def with_half_at(values: np.ndarray, threshold: float) -> np.ndarray:
    """The map in [0, 1], float32, its smallest value at 0, its largest at 1 and `threshold` at one half, linear between.

    A constant map becomes zeros: it shows no object.
    """
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, dtype=np.float32)
    return np.interp(values, (low, threshold, high), (0.0, 0.5, 1.0)).astype(np.float32)
