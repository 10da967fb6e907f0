"""A segmenter in one file: whether a pixel is of the object by its colour alone, a logistic regression."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from models.config.training import Facts, TrainConfig, TrainingSet
from models.errors import UserError
from models.images import resized, resized_mask, resized_soft
from models.segmenters.protocol import Batch


class ToyConfig(TrainConfig):
    """A logistic regression on each pixel's colour."""

    segmenter: Literal["toy"] = Field("toy", description="name of the segmenter")
    size: int = Field(32, ge=8, description="side in pixels of the square that images are brought to")
    least: int = Field(3, ge=1, description="samples to train on at least")

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        if training is not None and training.samples < self.least:
            raise UserError(f"least: expected {self.least} samples or more, got {training.samples}; give more")


class Segmenter:
    """`network` is the regression, a convolution of one pixel."""

    def __init__(self, config: ToyConfig):
        self.size = (config.size, config.size)
        torch.manual_seed(config.seed)
        self.network = nn.Conv2d(3, 1, 1)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        truth = torch.from_numpy(np.stack([resized_mask(mask, self.size) for mask in batch["mask"].numpy()]))
        return F.binary_cross_entropy_with_logits(self._logits(network, list(batch["image"].numpy())), truth.float())

    def soft_masks(self, batch: Batch) -> np.ndarray:
        return np.stack(self.predict(list(batch["image"].numpy())))

    @torch.no_grad()
    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        soft = self._logits(self.network, images).sigmoid().numpy()
        return [resized_soft(each, image.shape[:2]) for each, image in zip(soft, images, strict=True)]

    def _logits(self, network: nn.Module, images: list[np.ndarray]) -> torch.Tensor:
        """(H, W, 3) uint8 of any sizes -> (B, size, size)."""
        squares = torch.from_numpy(np.stack([resized(image, self.size) for image in images]))
        return network(squares.permute(0, 3, 1, 2) / 127.5 - 1)[:, 0]
