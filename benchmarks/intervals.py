"""Bootstrap confidence intervals of means over scenes. Knows nothing of the measurements."""

import numpy as np

RESAMPLES = 1000

Estimate = list[float]  # mean, and the lower and upper end of its 95 % interval


def mean_interval(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of (n,) values and its 95 % percentile interval from 1000 resamples with replacement.

    For paired figures pass their differences, so that each scene is drawn with both of its values.
    """
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return [round(float(value), 4) for value in (values.mean(), low, high)]


def difference_interval(ours: np.ndarray, others: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of (n,) values minus that of (m,) others, and its 95 % interval; both are resampled independently."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1) for values in (ours, others)]
    low, high = np.percentile(means[0] - means[1], (2.5, 97.5))
    return [round(float(value), 4) for value in (ours.mean() - others.mean(), low, high)]


def sign_of(estimate: Estimate) -> int:
    """1 if the whole interval is above 0, -1 if it is below, 0 if it contains 0."""
    _, low, high = estimate
    return int(low > 0) - int(high < 0)


def words(estimate: Estimate) -> str:
    """The estimate as text: '0.974 [0.968, 0.980]'."""
    mean, low, high = estimate
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
