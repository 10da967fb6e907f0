"""DiffusionSeg (arXiv 2303.09813, section 3.3): a small decoder on a frozen backbone's features of an inverted image.

The features are those of eq. 8 (`models.backbone.features`); the decoder's three upsamplings lead from the latent grid
to pixels.

Letters: B images, C channels, h x w latent grid, H x W = 8h x 8w pixels of the backbone's image.
"""

import numpy as np
import torch
from torch import nn

from models.backbone.features import feature_shapes, features_of
from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone
from models.backbone.sampling import OnStep
from models.batching import in_batches
from models.clip.categories import categories_of, prompt_of
from models.images import resized
from models.photos import backbone_size
from models.segmenters.decoder import Decoder, at_own_size, mask_loss
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.protocol import Batch, Shape
from models.training.loop import mixed_precision
from models.training.weights import digest_of


class Segmenter:
    """The frozen backbone and its decoder. `network` is the decoder."""

    def __init__(self, config: DiffusionSegConfig):
        self.config = config
        self.backbone = load_backbone(
            check_backbone(config.backbone, config.revision), config.run.device, config.run.dtype
        )
        config.check(self.backbone.facts, None)
        self.size = self.backbone.facts.image_size
        torch.manual_seed(config.seed)
        self.network = Decoder(self.feature_shapes(self.size), config.widths, config.projection)
        self.network.to(self.backbone.device)

    def feature_shapes(self, image_size: tuple[int, int]) -> list[Shape]:
        """(C, h, w) of each feature map for images of (H, W) pixels."""
        _, grid = self.backbone.facts.sizes(*image_size)
        return feature_shapes(self.backbone, grid, self.config.blocks)

    def weights_digest(self) -> str:
        """A digest of the backbone's weights as loaded."""
        return digest_of(*self.backbone.networks)

    def features(self, images: np.ndarray, categories: list[str], on_step: OnStep | None = None) -> list[torch.Tensor]:
        """(B, H, W, 3) uint8 and each image's category -> for each layer (B, C, h, w) float32; eq. 8.

        With prior.clip 'none' the prompt is empty for every category.
        """
        prompts = ["" if self.config.prior.clip == "none" else prompt_of(category) for category in categories]
        with torch.autocast(self.backbone.device.type, enabled=False):  # so that training and prediction give the same
            return features_of(self.backbone, images, prompts, self.config.steps, self.config.blocks, on_step)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of a batch with "features", or with "image" and "category" from which they are computed."""
        logits = network(self._features_of_batch(batch)).float()
        truth = batch["mask"].to(logits.device).float()
        return mask_loss(logits, truth, self.config.loss)

    @torch.no_grad()
    def soft_masks(self, batch: Batch) -> np.ndarray:
        """Masks of a batch at the images' size: (B, H, W) float32 in [0, 1]."""
        features = self._features_of_batch(batch)
        with mixed_precision(self.backbone.device):
            logits = self.network.eval()(features)
        return logits.float().sigmoid().cpu().numpy()

    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1] at each image's size.

        Images are resized to about the backbone's native area; if no class is given, the prior's is used. Images of one
        size form batches of at most `run.batch_size`, halved when memory runs out.
        """
        sizes = [backbone_size(image.shape[:2], self.backbone.facts) for image in images]
        masks: dict[int, np.ndarray] = {}
        for size in dict.fromkeys(sizes):
            rows = [i for i, image_size in enumerate(sizes) if image_size == size]
            small = np.stack([resized(images[i], size) for i in rows])
            names = self._prior_classes(small) if categories is None else [categories[i] for i in rows]

            def make(part: slice, small: np.ndarray = small, names: list[str] = names) -> list[np.ndarray]:
                return list(self.soft_masks({"features": self.features(small[part], names[part])}))

            masks |= zip(rows, in_batches(len(rows), self.config.run.batch_size, make), strict=True)
        return [at_own_size(masks[i], image, self.config.bilateral) for i, image in enumerate(images)]

    def _prior_classes(self, images: np.ndarray) -> list[str]:
        config = self.config
        return [name for name, _ in categories_of(images, config.backbone, config.prior, config.run.device)]

    def _features_of_batch(self, batch: Batch) -> list[torch.Tensor]:
        if "features" in batch:
            return [layer.to(self.backbone.device, torch.float32) for layer in batch["features"]]
        return self.features(batch["image"].numpy(), batch["category"])
