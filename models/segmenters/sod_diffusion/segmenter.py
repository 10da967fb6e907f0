"""SOD-diffusion (doi 10.1111/cgf.15251): a backbone's UNet denoises a mask's latents, attending to a Swin's features.

docs/sod-diffusion.md relates lines to the paper's statements, and shows where paper and released code differ.

Letters: B images, C latent channels, h x w latent grid, S side of the square, M members of the ensemble.
"""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models.backbone.ddim import noise, noised, predict_x0_eps, pyramid_noise, target_of, timesteps, trailing
from models.images import stretched
from models.segmenters.judged import filled_masks, squared_error, void_of, weights_on
from models.segmenters.latent import LatentSegmenter, empty_prompt, unet_of, widened
from models.segmenters.protocol import Batch
from models.segmenters.sod_diffusion.config import SodDiffusionConfig
from models.segmenters.sod_diffusion.ensemble import ensembled
from models.segmenters.sod_diffusion.fusion import WIDTH, Fusion, PlainCrossAttention, Tile
from models.segmenters.sod_diffusion.swin import Swin
from models.training.loop import hash_seed

DISCOUNT, LEVELS = 0.3, 6  # for the pyramid noise in training


class Network(nn.Module):
    """The UNet, which attends to AFIM's f, or to the empty prompt if there is no encoder or no AFIM.

    Without AFIM one plain cross-attention before the UNet attends to f, and the UNet itself to the empty prompt.
    """

    empty: torch.Tensor  # (1, 2, width)
    encoder: nn.Module | None
    afim: nn.Module | None
    plain: nn.Module | None
    hint: nn.Module | None

    def __init__(self, unet: Any, config: SodDiffusionConfig, empty: torch.Tensor):
        super().__init__()
        self.unet = unet
        self.register_buffer("empty", empty, persistent=False)
        self.encoder = self.afim = self.plain = self.hint = None
        if config.swin == "none":
            return
        swin, width = Swin(config), empty.shape[2]
        self.encoder = nn.Sequential(swin, Fusion(config.fusion, swin.channels))
        if config.context_projection == "none":
            self.plain = PlainCrossAttention(unet.conv_in.in_channels)
        else:
            self.afim = Tile(width) if config.context_projection == "tile16" else nn.Conv2d(WIDTH, width, 1)
        if config.auxiliary > 0:
            self.hint = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(
        self, image: torch.Tensor, noisy: torch.Tensor, t: torch.Tensor, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The UNet's `output`, and the mask predicted from f alone: (B, 3, h, w), None without the auxiliary loss."""
        f = self.features(pixels, noisy.shape[2:])
        return self.output(image, noisy, t, f), None if self.hint is None else self.hint(f)

    def features(self, pixels: torch.Tensor, grid: torch.Size) -> torch.Tensor | None:
        """f of pixels (B, 3, S, S) in [0, 1] on the latent grid: (B, 64, h, w); None without an encoder."""
        if self.encoder is None:
            return None
        f = self.encoder(pixels)
        return f if f.shape[2:] == grid else F.interpolate(f.float(), grid, mode="bilinear", antialias=True)

    def output(self, image: torch.Tensor, noisy: torch.Tensor, t: Any, f: torch.Tensor | None) -> torch.Tensor:
        """The UNet's output for latents of the image and of the noisy mask, (B, C, h, w) each: (B, C, h, w)."""
        both = torch.cat([image, noisy], dim=1)  # (B, 2C, h, w)
        context = self.empty.expand(len(both), -1, -1)  # (B, 2, width)
        if self.plain is not None:
            both = self.plain(both, f)
        if self.afim is not None:
            context = self.afim(f).flatten(2).transpose(1, 2)  # (B, hw, width)
        return self.unet(both, t, encoder_hidden_states=context).sample


class Segmenter(LatentSegmenter):
    """SOD-diffusion on a backbone; the VAE is frozen, all other networks are trained, the Swin only if not frozen."""

    config: SodDiffusionConfig

    def __init__(self, config: SodDiffusionConfig):
        super().__init__(config)
        if config.conv_in == "fresh":
            unet = unet_of(self, in_channels=2 * self.facts.latent_channels)
        else:
            unet = unet_of(self)
            unet.conv_in = widened(unet.conv_in)
        self.network = Network(unet, config, empty_prompt(self)).to(self.device)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean squared error of the predicted eps or v, plus that of the mask predicted from f, on the latent grid.

        A cell of the grid weighs as much as the share of its pixels that is judged.
        """
        rgb, mask = self.pixels(list(batch["image"].numpy())), self.mask_pixels(filled_masks(batch).numpy())
        clean = self.encoded(mask)
        eps = pyramid_noise(tuple(clean.shape), DISCOUNT, LEVELS).to(self.device)
        t = torch.randint(len(self.alpha_bar), (len(clean),)).to(self.device)
        alpha_bar = self.alpha_bar[t][:, None, None, None]
        output, hint = network(self._image_latents(rgb), noised(clean, eps, alpha_bar), t, (rgb + 1) / 2)
        target = target_of(self.facts.prediction_type, clean, eps, alpha_bar)
        weights = weights_on(void_of(batch), clean.shape[2:])
        loss = squared_error(output.float(), target, weights)
        if hint is None:
            return loss
        small = F.interpolate(mask, hint.shape[2:], mode="bilinear")  # (B, 3, h, w)
        return loss + self.config.auxiliary * squared_error(hint.float(), small, weights)

    def soft_masks(self, batch: Batch) -> np.ndarray:
        """Masks of a batch at the images' size, for validation: (B, H, W) float32 in [0, 1]."""
        masks_of = partial(
            self.masks_of, levels=trailing(self.config.validation_steps, len(self.alpha_bar)), ensemble=1
        )
        return np.stack(self.at_own_sizes(list(batch["image"].numpy()), masks_of))

    def masks_of(self, rgb: torch.Tensor, levels: list[int] | None = None, ensemble: int | None = None) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] -> (B, S, S) float32: the aligned members' median, stretched to [0, 1]."""
        if levels is None:
            schedule = timesteps if self.config.spacing == "leading" else trailing
            levels = schedule(self.config.steps, len(self.alpha_bar))
        ensemble = ensemble or self.config.ensemble
        image = self._image_latents(rgb)
        f = self.network.features((rgb + 1) / 2, image.shape[2:])
        masks = [self.decoded_masks(self.denoised(image, f, member, levels)) for member in range(ensemble)]
        return stretched(torch.stack([ensembled(maps) for maps in torch.stack(masks, dim=1)]))  # maps: (M, S, S)

    def denoised(self, image: torch.Tensor, f: torch.Tensor | None, member: int, levels: list[int]) -> torch.Tensor:
        """DDIM, eta 0, from a member's noise, the same for all images: clean latents (B, C, h, w) float32."""
        shape, prediction_type = tuple(image.shape[1:]), self.facts.prediction_type
        noisy = noise(hash_seed(self.config.seed, member), shape).to(self.device).expand_as(image)
        for t, target in pairwise([*levels, 0]):
            output = self.network.output(image, noisy, t, f).float()
            clean, eps = predict_x0_eps(prediction_type, output, noisy, self.alpha_bar[t])
            noisy = noised(clean, eps, self.alpha_bar[target])
        return noisy

    def _image_latents(self, rgb: torch.Tensor) -> torch.Tensor:
        """Latents of pixels (B, 3, S, S) in [-1, 1], which are first scaled to the configured rgb_range."""
        return self.encoded(rgb if self.config.rgb_range == "-1..1" else (rgb + 1) / 2)
