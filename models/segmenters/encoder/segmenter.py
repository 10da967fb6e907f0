"""A frozen pre-trained encoder with DiffusionSeg's decoder (arXiv 2303.09813, Table 4), to compare other features.

Images are resized to the encoder's square size (`models.segmenters.encoders`). The decoder's logits, at eight times the
finest feature map's grid, are resized to the mask's size, so those of an encoder with a coarse grid are interpolated
more.

Letters: B images, C channels of a feature map, h x w its grid, H x W the mask's size.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models.batching import in_batches
from models.images import resized_soft
from models.segmenters.decoder import Decoder, at_own_size, mask_loss
from models.segmenters.encoder.config import EncoderConfig
from models.segmenters.encoders import load_encoder
from models.segmenters.judged import void_of
from models.segmenters.protocol import Batch, Shape
from models.training.loop import mixed_precision
from models.training.weights import digest_of


class Segmenter:
    """The frozen encoder and its decoder. `network` is the decoder."""

    def __init__(self, config: EncoderConfig):
        self.config = config
        self.encoder = load_encoder(config.encoder, config.weights, config.layers, config.seed, config.run.device)
        self.size = self.encoder.size
        torch.manual_seed(config.seed)
        self.network = Decoder(self.feature_shapes(self.size), config.widths, config.projection)
        self.network.to(self.encoder.device)

    def feature_shapes(self, image_size: tuple[int, int]) -> list[Shape]:
        """(C, h, w) of each feature map; the same for images of any size."""
        features = self.encoder.features([np.zeros((*self.size, 3), np.uint8)])
        return [(C, h, w) for _, C, h, w in (layer.shape for layer in features)]

    def weights_digest(self) -> str:
        """A digest of the encoder's weights."""
        return digest_of(self.encoder.network)

    def features(self, images: np.ndarray, categories: list[str] | None = None) -> list[torch.Tensor]:
        """(B, H, W, 3) uint8 -> for each layer (B, C, h, w) float32; ignores the classes."""
        return self.encoder.features(list(images))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of a batch with "features", or with "image" from which they are computed."""
        logits = network(self._features_of_batch(batch)).float()
        truth = batch["mask"].to(logits.device).float()
        logits = F.interpolate(logits[:, None], truth.shape[1:], mode="bilinear", antialias=True)[:, 0]  # (B, H, W)
        return mask_loss(logits, truth, self.config.loss, void_of(batch, logits.device))

    def soft_masks(self, batch: Batch) -> np.ndarray:
        """Masks of a batch at the size of its true masks: (B, H, W) float32 in [0, 1]."""
        size = tuple(batch["mask"].shape[1:])
        return np.stack([resized_soft(soft, size) for soft in self._decoded(self._features_of_batch(batch))])

    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1] at each image's size; ignores the classes."""

        def make(part: slice) -> list[np.ndarray]:
            return list(self._decoded(self.encoder.features(images[part])))

        masks = in_batches(len(images), self.config.run.batch_size, make)
        bilateral = self.config.bilateral
        return [at_own_size(soft, image, bilateral) for soft, image in zip(masks, images, strict=True)]

    @torch.no_grad()
    def _decoded(self, features: list[torch.Tensor]) -> np.ndarray:
        """For each layer (B, C, h, w) -> (B, 8h, 8w) float32 in [0, 1]."""
        with mixed_precision(self.encoder.device):
            logits = self.network.eval()(features)
        return logits.float().sigmoid().cpu().numpy()

    def _features_of_batch(self, batch: Batch) -> list[torch.Tensor]:
        if "features" in batch:
            return [layer.to(self.encoder.device, torch.float32) for layer in batch["features"]]
        return self.encoder.features(list(batch["image"].numpy()))
