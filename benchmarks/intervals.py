"""Bootstrap confidence intervals of means over scenes. Knows nothing of what was measured."""

import numpy as np

RESAMPLES = 1000

Estimate = list[float]  # mean, and the lower and upper end of its 95 % interval


def mean_interval(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of (n,) values and its 95 % percentile interval from 1000 resamples with replacement.

    For paired figures pass their differences: each scene is then drawn with both of its values.
    """
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return [round(float(value), 4) for value in (values.mean(), low, high)]


def difference_interval(ours: np.ndarray, others: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of (n,) values less that of (m,) others, and its 95 % percentile interval, both resampled on their own."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1) for values in (ours, others)]
    low, high = np.percentile(means[0] - means[1], (2.5, 97.5))
    return [round(float(value), 4) for value in (ours.mean() - others.mean(), low, high)]


def sign_of(estimate: Estimate) -> int:
    """1 where the whole interval is above 0, -1 where it is below, 0 where it holds 0."""
    _, low, high = estimate
    return int(low > 0) - int(high < 0)


def words(estimate: Estimate) -> str:
    """'0.974 [0.968, 0.980]'."""
    mean, low, high = estimate
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
