"""A VAE's latents, and the noise that a diffusion model puts on them and predicts: formulas, without networks of ours.

Letters: B samples, C latent channels, h x w latent grid, H x W image. abar is the scheduler's cumulative alpha of a
noise level, a number or a tensor that broadcasts over latents.
"""

from typing import Any

import torch
from torch.nn import functional as F


@torch.no_grad()
def encoded(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 3, H, W) in [-1, 1] -> clean latents (B, C, h, w) float32: the posterior's mean, scaled.

    One image at a time, as in `decoded`: at 1024x1024 the VAE needs gigabytes for each.
    """
    with torch.autocast(pixels.device.type, enabled=False):
        means = [vae.encode(each[None]).latent_dist.mean.float() for each in pixels.to(vae.dtype)]
        return torch.cat(means) * vae.config.scaling_factor


@torch.no_grad()
def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Clean latents (B, C, h, w) -> pixels (B, 3, H, W) float32, about [-1, 1]; NaN stays NaN. One image at a time."""
    scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
    with torch.autocast(latents.device.type, enabled=False):
        return torch.cat([vae.decode(each[None]).sample.float() for each in scaled])


def noised(clean: torch.Tensor, eps: torch.Tensor, abar: Any) -> torch.Tensor:
    """x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps."""
    return abar**0.5 * clean + (1 - abar) ** 0.5 * eps


def target_of(kind: str, clean: torch.Tensor, eps: torch.Tensor, abar: Any) -> torch.Tensor:
    """What a network of a prediction type is to say of x_t: eps, or v = sqrt(abar) eps - sqrt(1 - abar) x_0."""
    return eps if kind == "epsilon" else abar**0.5 * eps - (1 - abar) ** 0.5 * clean


def clean_and_noise(
    kind: str, output: torch.Tensor, noisy: torch.Tensor, abar: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """x_0 and eps that a network's output says of x_t: the inverse of `noised` and `target_of`."""
    if kind == "epsilon":
        return (noisy - (1 - abar) ** 0.5 * output) / abar**0.5, output
    return abar**0.5 * noisy - (1 - abar) ** 0.5 * output, abar**0.5 * output + (1 - abar) ** 0.5 * noisy


def pyramid_noise(shape: tuple[int, int, int, int], discount: float, levels: int | None = None) -> torch.Tensor:
    """Noise of several resolutions, of deviation 1 over the whole batch: (B, C, h, w) float32 on the CPU.

    As Marigold's trainer has it: to normal noise, noises of ever smaller grids are added, each enlarged bilinearly and
    weighted by discount^i; the grid of level i is the level before's, divided by r^i with r drawn from [2, 4), so that
    level 0 is another of full size. Ends after `levels`, or with a side of one cell.
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
