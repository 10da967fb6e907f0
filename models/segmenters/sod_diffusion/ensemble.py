"""Merge several predictions of a map that differ by scale and shift, aligned as in Marigold (arXiv 2312.02145).

Knows nothing of what the maps show.
"""

import numpy as np
import torch
from scipy.optimize import minimize

STRENGTH = 0.02  # weight of the regulariser


def ensembled(maps: torch.Tensor) -> torch.Tensor:
    """(M, H, W) float -> (H, W) float32: the median of the maps; those that are not constant are aligned first.

    All NaN if a map contains NaN or inf.
    """
    maps = maps.double().cpu()
    if not maps.isfinite().all():
        return torch.full(maps.shape[1:], torch.nan)
    varies = maps.amax((1, 2)) - maps.amin((1, 2)) > 1e-6
    if varies.sum() > 1:
        maps[varies] = aligned(maps[varies])
    return _median(maps).float()


def aligned(maps: torch.Tensor) -> torch.Tensor:
    """s_i x_i + t_i of maps x_i (M, H, W) float64, none of them constant, by BFGS (2 iterations, tolerance 1e-3).

    It minimises the root mean squared difference over all pairs, plus 0.02 times the distances of the median's minimum
    from 0 and of its maximum from 1. Each map starts stretched to [0, 1].
    """
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    start = torch.stack([1 / (high - low), -low / (high - low)])  # (2, M)

    def transformed(x: torch.Tensor) -> torch.Tensor:
        scale, shift = x.reshape(2, -1, 1, 1)
        return scale * maps + shift

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.tensor(x, requires_grad=True)
        with torch.enable_grad():
            flat = transformed(at).flatten(1)  # (M, HW)
            # The mean squared difference over pairs is twice the variance; 1e-12 because sqrt has no slope at 0.
            distance = (2 * flat.var(dim=0, correction=1).mean() + 1e-12).sqrt()
            median = _median(flat.detach())
            smallest, largest = _middle(flat[:, [median.argmin(), median.argmax()]].sort(dim=0).values)
            total = distance + STRENGTH * (smallest.abs() + (1 - largest).abs())
        (gradient,) = torch.autograd.grad(total, at)
        return total.item(), gradient.numpy()

    solution = minimize(cost, start.numpy().ravel(), jac=True, method="BFGS", tol=1e-3, options={"maxiter": 2})
    return transformed(torch.from_numpy(solution.x))


def _median(maps: torch.Tensor) -> torch.Tensor:
    """(M, ...) -> (...); numpy sorts along the first axis several times faster than torch."""
    return _middle(torch.from_numpy(np.sort(maps.numpy(), axis=0)))


def _middle(ordered: torch.Tensor) -> torch.Tensor:
    """The median of values sorted along the first axis; of an even number the mean of the two middle ones."""
    M = len(ordered)
    return (ordered[(M - 1) // 2] + ordered[M // 2]) / 2
