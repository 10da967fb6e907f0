"""One map from several predictions of it that differ by scale and shift, as Marigold (arXiv 2312.02145) aligns them.

Knows nothing of what the maps show.
"""

import numpy as np
import torch
from scipy.optimize import minimize

STRENGTH = 0.02  # of the regulariser


def ensembled(maps: torch.Tensor) -> torch.Tensor:
    """(M, H, W) float -> (H, W) float32: the median of the maps, those that vary being aligned first.

    Where a map has a value that is no number there is no median: all is NaN.
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

    Least is the root of the mean squared difference of all pairs, and 0.02 times how far the median's least value is
    from 0 and its greatest from 1. Each map starts stretched to [0, 1].
    """
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    start = torch.stack([1 / (high - low), -low / (high - low)])  # (2, M)

    def placed(x: torch.Tensor) -> torch.Tensor:
        scale, shift = x.reshape(2, -1, 1, 1)
        return scale * maps + shift

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.tensor(x, requires_grad=True)
        with torch.enable_grad():
            made = placed(at).flatten(1)  # (M, HW)
            # Of M numbers the mean squared difference over pairs is twice their variance; the root has no slope at 0.
            apart = (2 * made.var(dim=0, correction=1).mean() + 1e-12).sqrt()
            median = _median(made.detach())
            least, greatest = _middle(made[:, [median.argmin(), median.argmax()]].sort(dim=0).values)
            total = apart + STRENGTH * (least.abs() + (1 - greatest).abs())
        (slope,) = torch.autograd.grad(total, at)
        return total.item(), slope.numpy()

    found = minimize(cost, start.numpy().ravel(), jac=True, method="BFGS", tol=1e-3, options={"maxiter": 2})
    return placed(torch.from_numpy(found.x))


def _median(maps: torch.Tensor) -> torch.Tensor:
    """(M, ...) -> (...); numpy sorts along the first axis several times as fast as torch."""
    return _middle(torch.from_numpy(np.sort(maps.numpy(), axis=0)))


def _middle(ordered: torch.Tensor) -> torch.Tensor:
    """The middle of values sorted along the first axis; of an even number the mean of the middle two."""
    M = len(ordered)
    return (ordered[(M - 1) // 2] + ordered[M // 2]) / 2
