"""DiffusionSeg (arXiv 2303.09813, section 3.3): a small decoder on a frozen backbone's features of an inverted image.

The features are those of eq. 8 (`models.features`). The paper gives the decoder as a fully convolutional network of
three layers; its figure shows three x2 up-samplings, from the latent grid to pixels. Widths, normalisation and loss are
not published: each feature map is standardised per channel, optionally projected, and brought to the latent grid; the
layers are 3x3 convolutions, each followed by one up-sampling; the loss is the binary cross-entropy of the mask.

Letters: B images, C channels, h x w latent grid, H x W = 8h x 8w pixels of the backbone's image.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models.backbone import load_backbone
from models.config import DiffusionSegConfig
from models.features import Shape, feature_shapes, features_of
from models.fitting import mixed_precision
from models.photomasks import backbone_size, resized, resized_soft
from models.prior import categories_of, prompt_of
from models.sampling import OnStep, in_batches


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
        """For each layer (B, C, h', w') -> (B, 8h, 8w) logits."""
        grid = max(tuple(layer.shape[2:]) for layer in features)
        maps = [take(layer) for take, layer in zip(self.inputs, features, strict=True)]
        maps = [F.interpolate(each, grid, mode="bilinear") if each.shape[2:] != grid else each for each in maps]
        return self.layers(torch.cat(maps, dim=1))[:, 0]


class Segmenter:
    """The frozen backbone and its decoder. `network` is the decoder."""

    def __init__(self, config: DiffusionSegConfig):
        self.config = config
        self.backbone = load_backbone(config.backbone, config.run.device, config.run.dtype)
        facts = self.backbone.facts
        if facts.vae_factor != 8:
            raise ValueError(
                f"backbone {config.backbone}: the decoder needs latents of an eighth of the image's size, got "
                f"1/{facts.vae_factor}; choose another backbone"
            )
        torch.manual_seed(config.seed)
        self.network = Decoder(self.feature_shapes(facts.image_size), config.widths, config.projection)
        self.network.to(self.backbone.device)

    def feature_shapes(self, image_size: tuple[int, int]) -> list[Shape]:
        """(C, h, w) of each feature map of an image of so many pixels."""
        _, grid = self.backbone.facts.sizes(*image_size)
        return feature_shapes(self.backbone.unet, grid, self.config.blocks)

    def features(self, images: np.ndarray, categories: list[str], on_step: OnStep | None = None) -> list[torch.Tensor]:
        """(B, H, W, 3) uint8 and each image's category -> for each layer (B, C, h, w) float32; eq. 8.

        With prior.clip 'none' the prompt is empty whatever the category.
        """
        prompts = ["" if self.config.prior.clip == "none" else prompt_of(category) for category in categories]
        with torch.autocast(self.backbone.device.type, enabled=False):  # the same in training as in prediction
            return features_of(self.backbone, images, prompts, self.config.steps, self.config.blocks, on_step)

    def loss(self, network: nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """Of a batch that holds "features", or "image" and "category" to make them from."""
        logits = network(self._features_of_batch(batch)).float()
        truth = batch["mask"].to(logits.device).float()
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        return loss + dice_loss(logits, truth) if self.config.loss == "bce+dice" else loss

    @torch.no_grad()
    def soft_masks(self, batch: dict[str, Any]) -> np.ndarray:
        """Masks of a batch at the images' size: (B, H, W) float32 in [0, 1]."""
        features = self._features_of_batch(batch)
        with mixed_precision(self.backbone.device):
            logits = self.network.eval()(features)
        return logits.float().sigmoid().cpu().numpy()

    def predict(self, images: list[np.ndarray], categories: list[str] | None = None) -> list[np.ndarray]:
        """(H, W, 3) uint8 of any sizes -> (H, W) float32 in [0, 1] at each image's own size.

        Each goes to the backbone at about its native area; the class is the prior's where it is not given. Images of
        one size make batches of at most `run.batch_size`, halved where memory runs out.
        """
        sizes = [backbone_size(image.shape[:2], self.backbone.facts) for image in images]
        found: dict[int, np.ndarray] = {}
        for size in dict.fromkeys(sizes):
            rows = [i for i, own in enumerate(sizes) if own == size]
            small = np.stack([resized(images[i], size) for i in rows])
            names = self._named(small) if categories is None else [categories[i] for i in rows]

            def make(part: slice, small: np.ndarray = small, names: list[str] = names) -> list[np.ndarray]:
                return list(self.soft_masks({"features": self.features(small[part], names[part])}))

            found |= zip(rows, in_batches(len(rows), self.config.run.batch_size, make), strict=True)
        return [resized_soft(found[i], image.shape[:2]) for i, image in enumerate(images)]

    def _named(self, images: np.ndarray) -> list[str]:
        config = self.config
        return [name for name, _ in categories_of(images, config.backbone, config.prior, config.run.device)]

    def _features_of_batch(self, batch: dict[str, Any]) -> list[torch.Tensor]:
        if "features" in batch:
            return [layer.to(self.backbone.device, torch.float32) for layer in batch["features"]]
        return self.features(batch["image"].numpy(), batch["category"])


def dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """1 - the soft Dice coefficient, mean over the batch; both (B, H, W), truth 0 or 1. An empty pair counts 0."""
    soft = logits.sigmoid()
    overlap, total = (soft * truth).sum(dim=(1, 2)), (soft + truth).sum(dim=(1, 2))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
