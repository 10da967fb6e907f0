"""The common part of SOD-diffusion and DiffDIS: images and masks as a frozen VAE's latents, and a UNet that takes both.

Every image is resized to one square size, ignoring its aspect ratio; masks are resized back to their image's size.
Knows nothing of how masks are noised, denoised or learnt.

Letters: B images, C latent channels, S side of the square, h x w latent grid.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from models.backbone.facts import check_backbone
from models.backbone.stable_diffusion import load_network, load_scheduler
from models.backbone.tokens import load_tokenizer
from models.backbone.vae import decoded, encoded
from models.batching import in_batches
from models.config.training import LatentConfig
from models.hardware import resolve_device
from models.images import resized, resized_mask, resized_soft
from models.training.loop import mixed_precision


class LatentSegmenter:
    """Base of both; they add `network`, `loss` and `soft_masks` of `models.segmenters.protocol.Segmenter`.

    facts, vae, alpha_bar: the backbone's; the VAE is frozen and in run.dtype, alpha_bar (1000,) float32 on the device.
    """

    network: nn.Module

    def __init__(self, config: LatentConfig):
        self.config, self.size = config, (config.size, config.size)
        self.facts = check_backbone(config.backbone, config.revision)
        self.device = torch.device(resolve_device(config.run.device))
        dtype: str = config.run.dtype
        if dtype == "auto":
            dtype = "float32" if self.device.type == "cpu" else "float16"
        self.vae = load_network(self.facts, "vae", str(self.device), dtype)
        self.alpha_bar = load_scheduler(self.facts).alphas_cumprod.to(self.device)
        torch.manual_seed(config.seed)

    def masks_of(self, rgb: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, S, S) in [-1, 1] -> masks (B, S, S) float32 in [0, 1]; needs the network in evaluation mode."""
        raise NotImplementedError

    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1] at each image's size; ignores the classes."""
        return self.at_own_sizes(images, self.masks_of)

    @torch.no_grad()
    def at_own_sizes(
        self, images: list[np.ndarray], masks_of: Callable[[torch.Tensor], torch.Tensor]
    ) -> list[np.ndarray]:
        """`predict` with `masks_of` or a variant of it."""
        self.network.eval()

        def make(part: slice) -> list[np.ndarray]:
            with mixed_precision(self.device):
                return list(masks_of(self.pixels(images[part])).float().cpu().numpy())

        masks = in_batches(len(images), self.config.run.batch_size, make)
        return [resized_soft(soft, image.shape[:2]) for soft, image in zip(masks, images, strict=True)]

    def pixels(self, images: list[np.ndarray]) -> torch.Tensor:
        """(H, W, 3) uint8 of any sizes -> (B, 3, S, S) float32 in [-1, 1]."""
        squares = torch.from_numpy(np.stack([resized(image, self.size) for image in images])).to(self.device)
        return squares.permute(0, 3, 1, 2) / 127.5 - 1

    def mask_pixels(self, masks: np.ndarray) -> torch.Tensor:
        """(B, H, W) bool -> (B, 3, S, S) float32, -1 or 1, with three equal channels, as the VAE expects."""
        squares = np.stack([resized_mask(mask, self.size) for mask in masks])
        values = torch.from_numpy(squares).to(self.device).float() * 2 - 1
        return values[:, None].expand(-1, 3, -1, -1)

    def encoded(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] -> clean latents (B, C, h, w) float32."""
        return encoded(self.vae, pixels)

    def decoded_masks(self, latents: torch.Tensor) -> torch.Tensor:
        """Clean latents (B, C, h, w) -> (B, S, S) float32 in [0, 1]: the mean of the decoded image's channels."""
        return (decoded(self.vae, latents).mean(dim=1).clamp(-1, 1) + 1) / 2


def unet_of(segmenter: LatentSegmenter, **changes: Any) -> Any:
    """The backbone's UNet in float32, trainable; with `start` 'random' its weights are random.

    changes: values that replace those of the UNet2DConditionModel's configuration; tensors that are new or have another
    shape because of them keep random weights, all others are the backbone's.
    """
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(segmenter.facts.folder / "unet"), **changes
    )
    if segmenter.config.start == "pretrained":
        pretrained = load_network(segmenter.facts, "unet").state_dict()
        shapes = {name: value.shape for name, value in unet.state_dict().items()}
        unet.load_state_dict({k: v for k, v in pretrained.items() if shapes[k] == v.shape}, strict=False)
    return unet.to(segmenter.device).requires_grad_(True)


@torch.no_grad()
def empty_prompt(segmenter: LatentSegmenter) -> torch.Tensor:
    """The backbone's embedding of the empty prompt without padding (start and end token): (1, 2, width) float32."""
    ids = load_tokenizer(segmenter.facts.folder)([""], return_tensors="pt").input_ids
    return load_network(segmenter.facts, "text_encoder")(ids)[0].to(segmenter.device)


def widened(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution with twice the input channels whose output for [x, x] is that of `conv` for x (Marigold, DiffDIS).

    The weights are repeated along the input channels and halved; the bias is kept.
    """
    wide = nn.Conv2d(2 * conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    with torch.no_grad():
        wide.weight.copy_(conv.weight.repeat(1, 2, 1, 1) / 2)
        wide.bias.copy_(conv.bias)
    return wide.to(conv.weight.device)


def in_float32(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution, computed in float32 even under autocast."""
    exact = _Float32Conv(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    exact.load_state_dict(conv.state_dict())
    return exact.to(conv.weight.device)


class _Float32Conv(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())
