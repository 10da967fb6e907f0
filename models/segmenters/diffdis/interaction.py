"""What DiffDIS adds to a backbone's UNet: attention between mask and edge (DBIA), and the image at three scales (SWCI).

Knows nothing of noise levels, of losses or of how a UNet is loaded.

Letters: N = masks, then as many edges; n tokens of C channels; c latent channels, h x w = a skip's grid.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F


class InteractiveBlock(nn.Module):
    """Detail-balancing interactive attention: a transformer block of SD with a mutual attention in it (eq. 6).

    Self-attention, mutual attention, attention to the text, feed-forward, each behind a LayerNorm and added to what it
    was given. The mutual attention starts as a copy of the self-attention, its LayerNorm as one of the latter's.
    """

    def __init__(self, block: Any, kind: Literal["mutual", "fusion"]):
        super().__init__()
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm_mutual, self.mutual = deepcopy(block.norm1), deepcopy(block.attn1)
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ff = block.norm3, block.ff
        self.kind = kind

    def forward(
        self, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, **_: Any
    ) -> torch.Tensor:
        """(N, n, C), masks first -> (N, n, C); the names are those that diffusers' Transformer2DModel calls it by."""
        x = hidden_states
        x = x + self.attn1(self.norm1(x))
        x = x + self._exchanged(self.norm_mutual(x))
        x = x + self.attn2(self.norm2(x), encoder_hidden_states=encoder_hidden_states)
        return x + self.ff(self.norm3(x))

    def _exchanged(self, x: torch.Tensor) -> torch.Tensor:
        """Eq. 6: a mask's queries meet its edge's keys and values, and the reverse; with 'fusion' both meet both's."""
        mask, edge = x.chunk(2)
        if self.kind == "fusion":
            both = torch.cat([mask, edge], dim=1)  # (N / 2, 2n, C)
            return self.mutual(x, encoder_hidden_states=both.repeat(2, 1, 1))
        return self.mutual(x, encoder_hidden_states=torch.cat([edge, mask]))


class Injector(nn.Module):
    """One head of the scale-wise conditional injection: s + gamma * s + beta, gamma and beta read off the image.

    Both come from convolutions that start at zero, so that at first s is given back to the bit.
    """

    def __init__(self, latent_channels: int, channels: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(latent_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.GELU()
        )
        self.gamma, self.beta = (_zero_conv(channels) for _ in range(2))

    def forward(self, skip: torch.Tensor, rgb: torch.Tensor) -> torch.Tensor:
        """A skip (N, C, h, w) and the image's latents (N, c, ., .) -> (N, C, h, w)."""
        features = self.features(F.interpolate(rgb, skip.shape[2:], mode="bilinear"))
        return skip + self.gamma(features) * skip + self.beta(features)


@contextmanager
def injected(
    down_blocks: nn.ModuleList, injectors: nn.ModuleList, conditions: Sequence[torch.Tensor]
) -> Iterator[None]:
    """Meanwhile the last skip of each of the first down blocks passes its injector; what goes down is left as it is.

    conditions: what each injector reads, (N, c, ., .) each.
    """

    def hook_of(injector: nn.Module, condition: torch.Tensor) -> Any:
        def hook(block: nn.Module, inputs: Any, outputs: Any) -> Any:
            down, skips = outputs
            return down, (*skips[:-1], injector(skips[-1], condition))

        return hook

    handles = [
        block.register_forward_hook(hook_of(injector, condition))
        for block, injector, condition in zip(down_blocks, injectors, conditions, strict=False)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _zero_conv(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv
