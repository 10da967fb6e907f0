"""Invert real images into a backbone's noise and run the reverse pass with capture (DiffusionSeg, eq. 7).

The network is evaluated at the noise level of the latents, as in the paper; diffusers' inverse scheduler evaluates it
at the next level. Knows nothing of stores or tasks. Letters as in `models.backbone.sampling`.
"""

from itertools import pairwise

import numpy as np
import torch

from models.backbone.ddim import timesteps
from models.backbone.protocol import Backbone
from models.backbone.sampling import OnStep, Sampled, decode, sample_from
from models.backbone.schedulers.steppers import ddim_step
from models.config.cut import CutConfig
from models.config.sampling import CaptureConfig, SamplingConfig


@torch.no_grad()
def encode(backbone: Backbone, images: np.ndarray) -> torch.Tensor:
    """Images (B, H, W, 3) uint8 -> clean latents (B, C, h, w) float32: the posterior's mean, scaled."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(backbone.device).permute(0, 3, 1, 2)
    return backbone.encode(pixels.float() / 127.5 - 1)


@torch.no_grad()
def invert(
    backbone: Backbone, images: np.ndarray, prompts: list[str], steps: int, on_step: OnStep | None = None
) -> torch.Tensor:
    """Latents of the images at the first sampling timestep: (B, C, h, w) float32; guidance 1.

    images: (B, H, W, 3) uint8, sides multiples of the backbone's `multiple`.
    """
    backbone.facts.sizes(*images.shape[1:3])
    return invert_latents(backbone, encode(backbone, images), prompts, steps, on_step)


@torch.no_grad()
def invert_latents(
    backbone: Backbone, latents: torch.Tensor, prompts: list[str], steps: int, on_step: OnStep | None = None
) -> torch.Tensor:
    """`invert`, starting from clean latents: eq. 7 along the sampling schedule upwards."""
    conditioning = backbone.encode_text(prompts)
    latents = latents.to(backbone.device, torch.float32)
    levels = [0, *reversed(timesteps(steps, len(backbone.alpha_bar)))]
    for i, (t, target) in enumerate(pairwise(levels)):
        latents = ddim_step(backbone, latents, backbone.predict(latents, t, conditioning), t, target)
        if on_step:
            on_step(i + 1, steps)
    return latents


def reconstruct_with_capture(
    backbone: Backbone,
    latents: torch.Tensor,
    prompts: list[str],
    categories: list[str],
    sampling: CaptureConfig,
    cut: CutConfig,
    on_step: OnStep | None = None,
) -> list[Sampled]:
    """The reverse pass from inverted latents, recording attention: `sample_from` by DDIM, without guidance."""
    unguided = SamplingConfig(**(sampling.model_dump() | {"guidance": 1.0, "scheduler": "ddim", "spacing": None}))
    return sample_from(backbone, latents, prompts, categories, unguided, cut, on_step)


def reconstruction_psnr(backbone: Backbone, clean: torch.Tensor, samples: list[Sampled]) -> np.ndarray:
    """PSNR of the reconstructed images against the VAE's reconstructions of the originals: dB, (B,) float64.

    clean: (B, C, h, w), as from `encode`. This leaves the VAE's error out, so it measures the error of eq. 7. Both
    images are 8-bit; the PSNR of equal images is infinite.
    """
    decoded = np.stack([np.round(decode(backbone, latents) * 255) for latents in clean])
    error = np.stack([sample.image for sample in samples]) - decoded
    with np.errstate(divide="ignore"):
        return 20 * np.log10(255) - 10 * np.log10((error.astype(np.float64) ** 2).mean(axis=(1, 2, 3)))
