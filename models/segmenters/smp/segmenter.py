"""UNet and DeepLabV3 of segmentation_models_pytorch: common networks as baselines for the same training data.

Every image is resized to one square size, ignoring its aspect ratio, and normalised like ImageNet's; masks are resized
back to their image's size. The loss is the binary cross-entropy of judged pixels. Encoders start from random weights,
so that pretraining does not affect a comparison of training data.
"""

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn

from models.batching import in_batches
from models.hardware import resolve_device
from models.images import IMAGENET_MEAN, IMAGENET_STD, resized, resized_soft, resized_truth
from models.segmenters.judged import cross_entropy, void_of
from models.segmenters.protocol import Batch
from models.segmenters.smp.config import BaselineConfig
from models.training.loop import mixed_precision

NETWORKS = {"unet": smp.Unet, "deeplabv3": smp.DeepLabV3}


class Segmenter:
    """A network that maps a normalised square image to the logits of its mask."""

    def __init__(self, config: BaselineConfig):
        self.config, self.size = config, (config.size, config.size)
        self.device = torch.device(resolve_device(config.run.device))
        torch.manual_seed(config.seed)
        self.network = NETWORKS[config.segmenter](encoder_name=config.encoder, encoder_weights=None, classes=1)
        self.network.to(self.device, memory_format=torch.channels_last)  # a third faster on a CPU

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Binary cross-entropy of a batch's masks; with `flips`, images are randomly mirrored together with masks."""
        images = self._input(list(batch["image"].numpy()))
        truth, void = self._truth(batch)
        if self.config.flips:
            mirrored = (torch.rand(len(truth)) < 0.5).to(self.device)
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            truth = torch.where(mirrored[:, None, None], truth.flip(2), truth)
            void = None if void is None else torch.where(mirrored[:, None, None], void.flip(2), void)
        return cross_entropy(network(images)[:, 0].float(), truth, void)

    def soft_masks(self, batch: Batch) -> np.ndarray:
        """Masks of a batch at the images' size: (B, H, W) float32 in [0, 1]."""
        return np.stack(self.predict(list(batch["image"].numpy())))

    @torch.no_grad()
    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1] at each image's size; ignores the classes."""
        self.network.eval()

        def make(part: slice) -> list[np.ndarray]:
            with mixed_precision(self.device):
                logits = self.network(self._input(images[part]))[:, 0]
            return list(logits.float().sigmoid().cpu().numpy())

        masks = in_batches(len(images), self.config.run.batch_size, make)
        return [resized_soft(soft, image.shape[:2]) for soft, image in zip(masks, images, strict=True)]

    def _truth(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """A batch's masks, (B, size, size) float32, 0 or 1, and their void, bool, None without any."""
        masks, void = batch["mask"].numpy(), void_of(batch)
        voids = [None] * len(masks) if void is None else void.numpy()
        truths, voids = zip(*(resized_truth(*pair, self.size) for pair in zip(masks, voids, strict=True)), strict=True)
        truth = torch.from_numpy(np.stack(truths)).to(self.device).float()
        return truth, None if void is None else torch.from_numpy(np.stack(voids)).to(self.device)

    def _input(self, images: list[np.ndarray]) -> torch.Tensor:
        """(H, W, 3) uint8 of any sizes -> (B, 3, size, size) float32, normalised."""
        squares = torch.from_numpy(np.stack([resized(image, self.size) for image in images])).to(self.device)
        mean, std = (torch.tensor(values, device=self.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return ((squares / 255 - mean) / std).permute(0, 3, 1, 2)
