"""Pixels to latents and back with a backbone's VAE. Knows nothing of noise.

Letters: B samples, C latent channels, h x w latent grid, H x W image.
"""

from typing import Any

import torch


@torch.no_grad()
def encoded(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 3, H, W) in [-1, 1] -> clean latents (B, C, h, w) float32: the posterior's mean, scaled.

    One image at a time, as in `decoded`: at 1024x1024 the VAE needs gigabytes for each.
    """
    with torch.autocast(pixels.device.type, enabled=False):
        means = [vae.encode(image[None]).latent_dist.mean.float() for image in pixels.to(vae.dtype)]
        return torch.cat(means) * vae.config.scaling_factor


@torch.no_grad()
def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Clean latents (B, C, h, w) -> pixels (B, 3, H, W) float32, about [-1, 1]; NaN stays NaN. One image at a time."""
    scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
    with torch.autocast(latents.device.type, enabled=False):
        return torch.cat([vae.decode(latent[None]).sample.float() for latent in scaled])
