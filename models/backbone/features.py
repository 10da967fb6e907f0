"""Features of images from a backbone's UNet: the mean over the reverse pass's steps (DiffusionSeg, eq. 8).

An image is inverted and denoised again; at each step the outputs of the blocks' Transformer2DModels (after proj_out and
their residual) are added to sums and dropped, so nothing is kept per step. Only the last B of a guided batch
[unconditional, conditional] are looked at. Knows nothing of masks, decoders or files.

Letters: B images, C channels of a layer, h x w its grid.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from models.backbone.inversion import invert
from models.backbone.load import Backbone
from models.backbone.sampling import OnStep, denoise

Blocks = Literal["encoder", "decoder"]
Shape = tuple[int, int, int]


@dataclass
class FeatureSums:
    """Running sums of one recorded pass, by layer: (B, C, h, w) float32; read `mean` after the last step."""

    batch: int
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def add(self, layer: str, output: torch.Tensor) -> None:
        conditional = output[-self.batch :].float()
        self.sums[layer] = self.sums[layer] + conditional if layer in self.sums else conditional.clone()
        self.steps[layer] = self.steps.get(layer, 0) + 1

    def mean(self) -> list[torch.Tensor]:
        """F^l of eq. 8 for each layer in the UNet's order: (B, C, h, w) float32."""
        return [total / self.steps[layer] for layer, total in self.sums.items()]


def feature_layers(unet: Any, blocks: Blocks = "encoder") -> dict[str, tuple[Any, int]]:
    """Name -> (Transformer2DModel, times its grid is halved) of the layers that features are taken from.

    The encoder has as many per resolution as the paper names, two in Stable Diffusion; the decoder has one more, and
    its first, the one farthest from the output, is left out.
    """
    encoder = blocks == "encoder"
    prefix, group = ("down_blocks", unet.down_blocks) if encoder else ("up_blocks", unet.up_blocks)
    found = {}
    for i, block in enumerate(group):
        halvings = i if encoder else len(group) - 1 - i
        for j, layer in enumerate(getattr(block, "attentions", [])):
            if encoder or j > 0:
                found[f"{prefix}.{i}.attentions.{j}"] = (layer, halvings)
    return found


def feature_shapes(unet: Any, grid: tuple[int, int], blocks: Blocks = "encoder") -> list[Shape]:
    """(C, h, w) of each layer's features for a latent grid, without running the network."""
    layers = feature_layers(unet, blocks).values()
    return [(layer.out_channels, grid[0] >> halvings, grid[1] >> halvings) for layer, halvings in layers]


@contextmanager
def record_features(unet: Any, batch: int, blocks: Blocks = "encoder") -> Iterator[FeatureSums]:
    """Sum the features of the last `batch` samples over every call of `unet` while the context is open."""
    record = FeatureSums(batch)

    def hook_of(name: str) -> Any:
        return lambda module, args, output: record.add(name, output[0])

    hooks = [layer.register_forward_hook(hook_of(name)) for name, (layer, _) in feature_layers(unet, blocks).items()]
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def features_of(
    backbone: Backbone,
    images: np.ndarray,
    prompts: list[str],
    steps: int,
    blocks: Blocks = "encoder",
    on_step: OnStep | None = None,
) -> list[torch.Tensor]:
    """Invert images under their prompts (an empty one is allowed), denoise them again, and average the features.

    images: (B, H, W, 3) uint8, sides multiples of the backbone's `multiple` -> for each layer (B, C, h, w) float32.
    Guidance is 1 both ways. on_step counts both passes: (done, 2 * steps).
    """

    def report(offset: int) -> OnStep:
        return lambda done, of: on_step(offset + done, 2 * of) if on_step else None

    latents = invert(backbone, images, prompts, steps, report(0))
    with record_features(backbone.unet, len(images), blocks) as record:
        denoise(backbone, latents, backbone.encode_prompts(prompts), None, steps, 1.0, report(steps))
    return record.mean()
