"""Swin transformers (arXiv 2103.14030) as SOD-diffusion's encoder: one of timm, or a small one for pocket.

Knows nothing of how its maps are fused.

Letters: B images, S side of the square, C channels of a map.
"""

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn
from torch.nn import functional as F

from models.config.backbone import is_pocket
from models.segmenters.encoders import timm_encoder
from models.segmenters.sod_diffusion.config import SodDiffusionConfig

STAGES = (1, 2, 3)  # of strides 8, 16 and 32, as in the released code


class Swin(nn.Module):
    """A Swin's last three stages; channels: those of each stage. With `freeze_swin` it stays in evaluation mode."""

    def __init__(self, config: SodDiffusionConfig):
        super().__init__()
        if is_pocket(config.swin):
            self.network, self.size, mean, std = pocket_swin(), (128, 128), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        else:
            self.network, self.size, mean, std = timm_encoder(config.swin, config.weights)
        if config.rgb_range == "0..1":
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.network.norm = nn.Identity()  # the norm before the classifier
        self.network.requires_grad_(not config.freeze_swin)
        self.frozen = config.freeze_swin
        self.channels = [self.network.feature_info[stage]["num_chs"] for stage in STAGES]
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Pixels (B, 3, S, S) in [0, 1], resized to the Swin's size -> for each stage (B, C, size/8, ...), ..."""
        if pixels.shape[2:] != self.size:
            pixels = F.interpolate(pixels, self.size, mode="bilinear", antialias=True)
        inputs = (pixels - self.mean) / self.std
        return self.network.forward_intermediates(inputs, indices=STAGES, intermediates_only=True)

    def train(self, mode: bool = True) -> "Swin":
        """A frozen Swin stays in evaluation mode, so that no paths are dropped."""
        return super().train(mode and not self.frozen)


def pocket_swin() -> SwinTransformer:
    """A Swin of pocket's size with random weights."""
    return SwinTransformer(
        img_size=128, embed_dim=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16), window_size=4, num_classes=0,
        drop_path_rate=0.0,
    )  # fmt: skip
