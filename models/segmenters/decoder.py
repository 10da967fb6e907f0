"""The decoder of DiffusionSeg (arXiv 2303.09813, section 3.3) on the features of any frozen network, and its losses.

The paper describes a fully convolutional network of three layers; its figure shows three x2 upsamplings. Widths,
normalisation and loss are not published: here each feature map is standardised per channel, optionally projected, and
resized to the finest grid; the layers are 3x3 convolutions, each followed by one upsampling; the loss is the binary
cross-entropy of the mask. Knows nothing of where features come from.

Letters: B images, C channels, h x w a feature map's grid, H x W pixels.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models.cut.bilateral import smoothed
from models.errors import UserError
from models.images import resized_soft
from models.segmenters.judged import cross_entropy

Shape = tuple[int, int, int]


class Decoder(nn.Module):
    """Feature maps of several grids -> logits of the mask at eight times the finest grid."""

    def __init__(self, shapes: list[Shape], widths: tuple[int, int], projection: int | None):
        super().__init__()
        channels = [C for C, _, _ in shapes]
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(C), nn.Conv2d(C, projection, 1) if projection else nn.Identity())
            for C in channels
        )
        first, second = widths
        self.layers = nn.Sequential(
            *self._layer(sum(projection or C for C in channels), first),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            *self._layer(first, second),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            *self._layer(second, 1),
        )

    @staticmethod
    def _layer(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear")]

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """For each layer (B, C, h', w') -> (B, 8h, 8w) logits. UserError if one cannot be normalised in training."""
        if self.training and any(layer[:, 0].numel() == 1 for layer in features):
            raise UserError(
                "batch_size: expected at least 2 samples in each batch, since a feature map is 1 x 1, got 1"
            )
        grid = max(tuple(layer.shape[2:]) for layer in features)
        maps = [project(layer) for project, layer in zip(self.inputs, features, strict=True)]
        maps = [F.interpolate(m, grid, mode="bilinear") if m.shape[2:] != grid else m for m in maps]
        return self.layers(torch.cat(maps, dim=1))[:, 0]


def mask_loss(logits: torch.Tensor, truth: torch.Tensor, name: str, void: torch.Tensor | None = None) -> torch.Tensor:
    """Binary cross-entropy, with name 'bce+dice' plus the soft Dice loss; all (B, H, W), truth 0 or 1.

    void: bool, pixels that are left out of both.
    """
    loss = cross_entropy(logits, truth, void)
    return loss + dice_loss(logits, truth, void) if name == "bce+dice" else loss


def dice_loss(logits: torch.Tensor, truth: torch.Tensor, void: torch.Tensor | None = None) -> torch.Tensor:
    """1 - the soft Dice coefficient, mean over the batch; all (B, H, W), truth 0 or 1. An empty pair has loss 0."""
    soft = logits.sigmoid()
    if void is not None:
        soft, truth = soft.masked_fill(void, 0), truth.masked_fill(void, 0)
    overlap, total = (soft * truth).sum(dim=(1, 2)), (soft + truth).sum(dim=(1, 2))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def at_own_size(soft: np.ndarray, image: np.ndarray, bilateral: bool) -> np.ndarray:
    """A soft mask (h, w) float32 resized to its image, (H, W) float32 in [0, 1], smoothed if `bilateral` is set."""
    soft = resized_soft(soft, image.shape[:2])
    return smoothed(image, soft > 0.5)[0].clip(0, 1).astype(np.float32) if bilateral else soft
