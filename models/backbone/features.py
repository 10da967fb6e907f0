"""Features of images from a backbone's layers: the mean over the steps of the reverse pass (DiffusionSeg, eq. 8).

An image is inverted and denoised again; at each step the outputs of the layers are added to sums and dropped, so
nothing is kept per step. Of a guided batch [unconditional, conditional] only the last B are used. Knows nothing of
masks, decoders or files.

Letters: B images, C channels of a layer, h x w the layer's grid.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from models.backbone.inversion import invert
from models.backbone.protocol import Backbone, Blocks, FeatureLayer
from models.backbone.sampling import OnStep, denoise

Shape = tuple[int, int, int]


@dataclass
class FeatureSums:
    """Running sums of one recorded pass, by layer: (B, C, h, w) float32; read `mean` after the last step."""

    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def add(self, layer: FeatureLayer, output: torch.Tensor) -> None:
        """Add a layer's output of one step, (B, C, h, w)."""
        name, output = layer.name, output.float()
        self.sums[name] = self.sums[name] + output if name in self.sums else output.clone()
        self.steps[name] = self.steps.get(name, 0) + 1

    def mean(self) -> list[torch.Tensor]:
        """F^l of eq. 8 for each layer in the network's order: (B, C, h, w) float32."""
        return [total / self.steps[layer] for layer, total in self.sums.items()]


def feature_shapes(backbone: Backbone, grid: tuple[int, int], blocks: Blocks = "encoder") -> list[Shape]:
    """(C, h, w) of each layer's features for a latent grid, without running the network."""
    h, w = grid
    return [(layer.channels, h >> layer.halvings, w >> layer.halvings) for layer in backbone.feature_layers(blocks)]


@contextmanager
def record_features(backbone: Backbone, batch: int, blocks: Blocks = "encoder") -> Iterator[FeatureSums]:
    """Sum the features of the last `batch` samples over every prediction while the context is open."""
    record = FeatureSums()
    with backbone.watch_features(batch, blocks, record.add):
        yield record


@torch.no_grad()
def features_of(
    backbone: Backbone,
    images: np.ndarray,
    prompts: list[str],
    steps: int,
    blocks: Blocks = "encoder",
    on_step: OnStep | None = None,
) -> list[torch.Tensor]:
    """Invert images with their prompts (which may be empty), denoise them again, and average the features.

    images: (B, H, W, 3) uint8, sides multiples of the backbone's `multiple` -> for each layer (B, C, h, w) float32.
    Guidance is 1 in both passes. on_step counts both passes: (done, 2 * steps).
    """

    def report(offset: int) -> OnStep:
        return lambda done, total: on_step(offset + done, 2 * total) if on_step else None

    latents = invert(backbone, images, prompts, steps, report(0))
    with record_features(backbone, len(images), blocks) as record:
        denoise(backbone, latents, backbone.encode_text(prompts), None, steps, 1.0, report(steps))
    return record.mean()
