"""Losses over judged pixels: those of a mask that are void, neither object nor ground, are left out.

Without void, they are torch's own means, bit for bit. Letters: B images, H x W pixels, C channels, h x w a grid.
"""

import numpy as np
import torch
from torch.nn import functional as F

from models.images import filled
from models.segmenters.protocol import Batch


def void_of(batch: Batch, device: torch.device | str = "cpu") -> torch.Tensor | None:
    """The pixels of a batch's masks that are not judged, (B, H, W) bool on the device; None if all are."""
    void = batch.get("void")
    return void.to(device) if void is not None and bool(void.any()) else None


def filled_masks(batch: Batch) -> torch.Tensor:
    """A batch's masks, (B, H, W) bool, in which void has the value of the nearest judged pixel.

    For networks that learn a mask as a picture: an outline of void then leaves no second edge in it.
    """
    void = void_of(batch)
    if void is None:
        return batch["mask"]
    pairs = zip(batch["mask"].numpy(), void.numpy(), strict=True)
    return torch.from_numpy(np.stack([filled(mask, unjudged) for mask, unjudged in pairs]))


def weights_on(void: torch.Tensor | None, grid: torch.Size) -> torch.Tensor | None:
    """The share of judged pixels in each cell of a grid, (B, 1, h, w) float32; None if all are. void: (B, H, W)."""
    return None if void is None else 1 - F.interpolate(void[:, None].float(), tuple(grid), mode="area")


def cross_entropy(logits: torch.Tensor, truth: torch.Tensor, void: torch.Tensor | None) -> torch.Tensor:
    """Mean binary cross-entropy of judged pixels; logits, truth and void (B, H, W), truth 0 or 1."""
    if void is None:
        return F.binary_cross_entropy_with_logits(logits, truth)
    judged = (~void).to(logits)
    total = F.binary_cross_entropy_with_logits(logits, truth, weight=judged, reduction="sum")
    return total / judged.sum().clamp(min=1)  # 0 if no pixel is judged


def squared_error(predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Mean squared error over (B, C, h, w), of cells weighted by `weights_on`."""
    if weights is None:
        return F.mse_loss(predicted, target)
    weights = weights.to(predicted.device)
    total = (weights * (predicted - target) ** 2).sum()
    return total / (weights.sum() * predicted.shape[1]).clamp(min=1e-6)  # 0 if no pixel is judged
