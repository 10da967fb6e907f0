"""DiffDIS (ICLR 2025): a backbone's UNet that turns noise into a mask and its edge in one step at t = 999.

docs/diffdis.md relates lines to equations, and shows where paper and released code differ.

Letters: B images, C latent channels, h x w latent grid, S side of the square; N = B masks, with `edge` followed by B
edges; L denoising steps.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models.backbone.ddim import noise, noised, predict_x0_eps, pyramid_noise, trailing
from models.images import stretched
from models.segmenters.diffdis.augmentation import augmented, cutmix_boxes, cutmixed
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.diffdis.interaction import Injector, InteractiveBlock, injected
from models.segmenters.judged import filled_masks, squared_error, void_of, weights_on
from models.segmenters.latent import LatentSegmenter, empty_prompt, in_float32, unet_of, widened
from models.segmenters.protocol import Batch

LABELS = ((0.0, 1.0), (1.0, 0.0))  # d_lab of masks and of edges
DISCOUNT = 0.8  # for the pyramid noise in training
VIEWS = [(scale, mirror) for mirror in (False, True) for scale in (0.75, 1, 1.25)]  # for test-time augmentation


class Network(nn.Module):
    """The UNet with twice the input channels and, if configured, labels, DBIA and SWCI."""

    def __init__(self, unet: Any, config: DiffDisConfig):
        super().__init__()
        channels = unet.conv_in.in_channels
        unet.conv_in = widened(unet.conv_in)
        # x_0 = (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar) multiplies an error of eps by 14.61 at t = 999, and a
        # bfloat16 output has a relative error of up to 2^-9.
        unet.conv_out = in_float32(unet.conv_out)
        if config.dbia != "none":
            blocks = unet.mid_block.attentions[0].transformer_blocks
            blocks[0] = InteractiveBlock(blocks[0], config.dbia)
        self.unet = unet
        widths = unet.config.block_out_channels[:3] if config.swci else ()
        self.injectors = nn.ModuleList(Injector(channels, width) for width in widths)

    def forward(
        self,
        rgb: torch.Tensor,
        noisy: torch.Tensor,
        t: torch.Tensor,
        context: torch.Tensor,
        labels: torch.Tensor | None,
        conditions: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """eps or v of x_t: rgb, noisy (N, C, h, w), t (N,), context (N, 2, width), labels (N, 4).

        conditions: the input of each injector, (N, C, ., .) each; absent, all use rgb.
        """
        with injected(self.unet.down_blocks, self.injectors, conditions or [rgb] * len(self.injectors)):
            both = torch.cat([rgb, noisy], dim=1)  # (N, 2C, h, w)
            return self.unet(both, t, encoder_hidden_states=context, class_labels=labels).sample


class Segmenter(LatentSegmenter):
    """DiffDIS on a backbone; the whole UNet and its additions are trained."""

    config: DiffDisConfig

    def __init__(self, config: DiffDisConfig):
        super().__init__(config)
        labels = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4} if config.edge else {}
        self.network = Network(unet_of(self, **labels), config).to(self.device)
        self.context = empty_prompt(self)
        self.labels = batch_labels().to(self.device) if config.edge else None
        self.levels = torch.tensor(
            trailing(int(config.steps.partition("/")[2]), len(self.alpha_bar)), device=self.device
        )

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean squared error of the masks' clean latents, plus that of the edges' (eq. 5, algorithm 1).

        A latent weighs as much as the share of its pixels that is judged.
        """
        pictures, void = self._pictures(batch)
        rgb, clean, conditions = self._latents(pictures)
        weights = weights_on(void, clean.shape[2:])
        noises = self._noises(len(rgb), clean)
        levels = self._drawn_levels(len(rgb))
        noisy = noised(clean, noises, self._alpha_bar_of(levels[0], len(clean)))
        predicted = self.denoised(network, rgb, noisy, levels, conditions)
        tasks = zip(predicted.split(len(rgb)), clean.split(len(rgb)), strict=True)
        return torch.stack([squared_error(p, c, weights) for p, c in tasks]).sum()

    def soft_masks(self, batch: Batch) -> np.ndarray:
        """Masks of a batch at the images' size, from one view, for validation: (B, H, W) float32 in [0, 1]."""
        return np.stack(self.at_own_sizes(list(batch["image"].numpy()), self._masks))

    def masks_of(self, rgb: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] -> (B, S, S) float32, stretched to [0, 1]; with `tta` the mean over six views."""
        if not self.config.tta:
            return self._masks(rgb)
        return torch.stack([self._viewed(rgb, scale, mirror) for scale, mirror in VIEWS]).mean(dim=0)

    def denoised(
        self,
        network: nn.Module,
        rgb: torch.Tensor,
        noisy: torch.Tensor,
        levels: torch.Tensor,
        conditions: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """x_0 from x_t at the first level, with one pass of the network per level and no new noise (eq. 4).

        rgb: (B, C, h, w); noisy: (N, C, h, w); levels: (L, B) int64, descending; conditions: the images', as from
        `conditions` -> (N, C, h, w) float32.
        """
        tasks = len(noisy) // len(rgb)
        labels = None if self.labels is None else self.labels.repeat_interleave(len(rgb), dim=0)
        context, images = self.context.expand(len(noisy), -1, -1), rgb.repeat(tasks, 1, 1, 1)
        if conditions is not None:
            conditions = [condition.repeat(tasks, 1, 1, 1) for condition in conditions]
        for i, t in enumerate(levels):
            output = network(images, noisy, t.repeat(tasks), context, labels, conditions)
            clean, eps = predict_x0_eps(self.facts.prediction_type, output, noisy, self._alpha_bar_of(t, len(noisy)))
            if i + 1 < len(levels):
                noisy = noised(clean, eps, self._alpha_bar_of(levels[i + 1], len(noisy)))
        return clean

    def conditions(self, rgb: torch.Tensor) -> list[torch.Tensor] | None:
        """Pixels (B, 3, S, S) in [-1, 1] -> latents of the image at a half, a quarter and an eighth of its size.

        None if the injectors use the image's latents, resized.
        """
        if not self.config.swci or self.config.condition == "latents":
            return None
        return [self.encoded(F.interpolate(rgb, scale_factor=0.5**scale, mode="bilinear")) for scale in (1, 2, 3)]

    def _noises(self, count: int, clean: torch.Tensor) -> torch.Tensor:
        """Training noise for the latents of masks and edges of `count` images: (N, C, h, w)."""
        if self.config.noise == "pyramid":
            return pyramid_noise(tuple(clean.shape), DISCOUNT).to(self.device)
        return torch.randn(count, *clean.shape[1:]).repeat(len(clean) // count, 1, 1, 1).to(self.device)

    def _pictures(self, batch: Batch) -> tuple[tuple[torch.Tensor, ...], torch.Tensor | None]:
        """A training batch, augmented and mixed: images, masks and edges, (B, 3, S, S); and void, (B, S, S), or None.

        Void is float32, the share of a pixel that is not judged.
        """
        rng = np.random.default_rng(int(torch.randint(2**62, ())))  # the training loop seeds torch for each step
        masks, void = filled_masks(batch), void_of(batch)
        pictures = augmented(batch["image"].numpy(), masks, self.size, self.config.augment, rng, void)
        if self.config.cutmix:
            inside = cutmix_boxes(len(masks), self.size[0], rng)
            pictures = tuple(cutmixed(picture, inside) for picture in pictures)
        return pictures[:3], None if void is None else pictures[3][:, 0]

    def _latents(
        self, pictures: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor] | None]:
        """Of `_pictures`: latents of images, latents of masks and edges, and `conditions`.

        Shapes: (B, C, h, w), (N, C, h, w).
        """
        rgb, mask, edge = (picture.to(self.device) for picture in pictures)
        truths = [mask, edge] if self.config.edge else [mask]
        return self.encoded(rgb), torch.cat([self.encoded(truth) for truth in truths]), self.conditions(rgb)

    def _drawn_levels(self, count: int) -> torch.Tensor:
        """Noise levels of a training batch, (L, B): fixed, or with * a random one for each sample (Table 4)."""
        if self.config.steps == "1*/10":
            return torch.randint(len(self.alpha_bar), (1, count)).to(self.device)
        if self.config.steps == "1*/2":
            return self.levels[torch.randint(2, (1, count)).to(self.device)]
        return self.levels[:, None].expand(-1, count)

    def _alpha_bar_of(self, t: torch.Tensor, count: int) -> torch.Tensor:
        """alpha_bar of levels (B,), repeated for masks and edges: (N, 1, 1, 1)."""
        return self.alpha_bar[t].repeat(count // len(t))[:, None, None, None]

    def _masks(self, rgb: torch.Tensor) -> torch.Tensor:
        """Masks from one view. All masks and edges start from the same noise: a mask depends on its image alone."""
        latents = self.encoded(rgb)
        start = noise(self.config.seed, tuple(latents.shape[1:])).to(self.device)
        noisy = start.expand(len(rgb) * (2 if self.config.edge else 1), -1, -1, -1)
        levels = self.levels[:, None].expand(-1, len(rgb))
        clean = self.denoised(self.network, latents, noisy, levels, self.conditions(rgb))
        return stretched(self.decoded_masks(clean[: len(rgb)]))

    def _viewed(self, rgb: torch.Tensor, scale: float, mirror: bool) -> torch.Tensor:
        """Masks of the scaled and mirrored images, transformed back."""
        scaled = F.interpolate(rgb, [int(side * scale) for side in self.size], mode="bilinear")
        masks = self._masks(scaled.flip(3) if mirror else scaled)
        back = F.interpolate(masks[:, None], self.size, mode="bilinear")[:, 0]
        return back.flip(2) if mirror else back


def batch_labels() -> torch.Tensor:
    """Batch-discriminative labels of masks and edges, [sin(d_lab), cos(d_lab)]: (2, 4) float32."""
    labels = torch.tensor(LABELS)
    return torch.cat([labels.sin(), labels.cos()], dim=1)
