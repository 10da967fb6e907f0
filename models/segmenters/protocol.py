"""The interface of a segmenter for training, validation and prediction, and the contents of a batch.

Knows no segmenter. Its configuration, which needs no torch, is a `models.config.training.TrainConfig`.

Letters: B images, H x W pixels of each, C channels of a feature map, h x w its grid.
"""

from typing import Protocol, TypedDict, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Shape = tuple[int, int, int]  # (C, h, w) of a feature map


class Batch(TypedDict, total=False):
    """Samples as `storage.runs.loader` reads them: always "index" and "mask", and either "image" or "features"."""

    index: torch.Tensor  # (B,) int64, the samples' indices in their dataset or folder
    mask: torch.Tensor  # (B, H, W) bool
    void: torch.Tensor  # (B, H, W) bool, pixels that are not judged: neither object nor ground; only from a folder
    image: torch.Tensor  # (B, H, W, 3) uint8
    category: list[str]  # with "image": each sample's class, '' in a folder of photographs
    features: list[torch.Tensor]  # in place of "image": for each layer (B, C, h, w) float16, from `features`
    photo: list[str]  # only from a folder: the photographs' paths


@runtime_checkable
class Segmenter(Protocol):
    """A network that learns masks, with the frozen networks that it needs. Created from its configuration alone.

    `loss` takes random numbers from torch, which the training seeds for each step; `predict` and `soft_masks` use only
    the configuration's seed, so that a mask depends on its image alone.
    """

    @property
    def network(self) -> nn.Module:
        """The trained network; a run stores its state_dict and no other weights."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) to which a folder's photographs are resized for a batch; a dataset's images keep their size."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The scalar loss. network: `self.network`, or accelerate's wrapper of it if several processes train."""

    def soft_masks(self, batch: Batch) -> NDArray[np.float32]:
        """Masks of a batch for validation, to compare with "mask": (B, H, W) float32 in [0, 1]."""

    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1], each at its image's size.

        categories: the class of each image, for segmenters whose configuration `takes_class`; others ignore it.
        """


@runtime_checkable
class CachesFeatures(Segmenter, Protocol):
    """A segmenter on a frozen network's features, computed once, if its configuration `caches_features`."""

    def features(self, images: np.ndarray, categories: list[str]) -> list[torch.Tensor]:
        """(B, H, W, 3) uint8 and each image's class -> for each layer (B, C, h, w) float32."""

    def feature_shapes(self, image_size: tuple[int, int]) -> list[Shape]:
        """(C, h, w) of each layer for images of (H, W) pixels."""

    def weights_digest(self) -> str:
        """A digest of the frozen network's weights as loaded."""
