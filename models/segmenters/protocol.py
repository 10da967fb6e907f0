"""What a segmenter is to those who train, validate and predict with it, and what a batch holds.

Knows no segmenter. A configuration, which is read without torch, is a `models.config.training.TrainConfig`.

Letters: B images, H x W pixels of each, C channels of a feature map, h x w its grid.
"""

from typing import Protocol, TypedDict, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Shape = tuple[int, int, int]  # (C, h, w) of a feature map


class Batch(TypedDict, total=False):
    """Samples as `storage.runs.loader` reads them: "index" and "mask" always, and "image" or "features"."""

    index: torch.Tensor  # (B,) int64, the samples' numbers in their dataset or folder
    mask: torch.Tensor  # (B, H, W) bool
    image: torch.Tensor  # (B, H, W, 3) uint8
    category: list[str]  # beside "image": each sample's class, '' in a folder of photographs
    features: list[torch.Tensor]  # in place of "image": for each layer (B, C, h, w) float16, as `features` made them
    photo: list[str]  # of a folder: the photographs' paths


@runtime_checkable
class Segmenter(Protocol):
    """A network that learns masks, with all that stays as it is around it. Made of its configuration alone.

    Its random numbers in `loss` are torch's, which the training seeds anew for each step; `predict` and `soft_masks`
    draw none but of the configuration's seed, so that a mask depends on its image alone.
    """

    @property
    def network(self) -> nn.Module:
        """What is trained; its state_dict is all of a run's weights that is kept."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that a folder's photographs are brought to for a batch; a dataset's images keep the dataset's size."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """A scalar to be lowered. network: `self.network`, or the wrapping of it that several processes train."""

    def soft_masks(self, batch: Batch) -> NDArray[np.float32]:
        """Masks of a batch, as a validation compares them with "mask": (B, H, W) float32 in [0, 1]."""

    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1], each at its image's own size.

        categories: what each image shows, for segmenters whose configuration `takes_class`; the others ignore it.
        """


@runtime_checkable
class CachesFeatures(Segmenter, Protocol):
    """A segmenter on features of a frozen network, which are made once: one whose configuration `caches_features`."""

    def features(self, images: np.ndarray, categories: list[str]) -> list[torch.Tensor]:
        """(B, H, W, 3) uint8 and each image's class -> for each layer (B, C, h, w) float32."""

    def feature_shapes(self, image_size: tuple[int, int]) -> list[Shape]:
        """(C, h, w) of each layer for images of (H, W) pixels."""

    def weights_digest(self) -> str:
        """Tells the frozen network's weights, as loaded, from others."""
