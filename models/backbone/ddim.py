"""DDIM: noise, noise levels, and the conversion of predictions to x_0 and eps. Formulas, without networks.

Letters: B samples, C latent channels, h x w latent grid. alpha_bar is the scheduler's cumulative alpha of a noise
level, a number or a tensor that broadcasts over latents.
"""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F


def noise(seed: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Standard normal initial noise of a sample: (C, h, w) float32 on the CPU, from PCG64 and its seed alone."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def timesteps(steps: int, num_train: int = 1000) -> list[int]:
    """CompVis's uniform schedule, descending: 40 steps of 1000 are 976, 951, ..., 1."""
    return [min(i * (num_train // steps) + 1, num_train - 1) for i in reversed(range(steps))]


def trailing(steps: int, num_train: int = 1000) -> list[int]:
    """Evenly spaced noise levels down from the last: of 1000 one step is 999, two are 999 and 499."""
    return [num_train * i // steps - 1 for i in range(steps, 0, -1)]


def noised(clean: torch.Tensor, eps: torch.Tensor, alpha_bar: Any) -> torch.Tensor:
    """x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps."""
    return alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * eps


def target_of(prediction_type: str, clean: torch.Tensor, eps: torch.Tensor, alpha_bar: Any) -> torch.Tensor:
    """The training target for x_t: eps, or v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0."""
    return eps if prediction_type == "epsilon" else alpha_bar**0.5 * eps - (1 - alpha_bar) ** 0.5 * clean


def predict_x0_eps(
    prediction_type: str, output: torch.Tensor, noisy: torch.Tensor, alpha_bar: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """x_0 and eps from a network's output for x_t: the inverse of `noised` and `target_of`."""
    if prediction_type == "epsilon":
        return (noisy - (1 - alpha_bar) ** 0.5 * output) / alpha_bar**0.5, output
    return alpha_bar**0.5 * noisy - (1 - alpha_bar) ** 0.5 * output, alpha_bar**0.5 * output + (
        1 - alpha_bar
    ) ** 0.5 * noisy


def pyramid_noise(shape: tuple[int, int, int, int], discount: float, levels: int | None = None) -> torch.Tensor:
    """Multi-resolution noise with std 1 over the whole batch: (B, C, h, w) float32 on the CPU.

    As in Marigold's trainer: noises of ever smaller grids are added to normal noise, each enlarged bilinearly and
    weighted by discount^i. The grid of level i is that of level i - 1 divided by r^i, with r drawn from [2, 4); level 0
    has full size. Ends after `levels`, or when a side is one cell.
    """
    B, C, h, w = shape
    noise = torch.randn(shape)
    for i in range(levels if levels is not None else max(h, w)):
        shrink = float(torch.empty(()).uniform_(2, 4)) ** i
        h, w = max(1, int(h / shrink)), max(1, int(w / shrink))
        noise += discount**i * F.interpolate(torch.randn(B, C, h, w), shape[2:], mode="bilinear")
        if h == 1 or w == 1:
            break
    return noise / noise.std()
