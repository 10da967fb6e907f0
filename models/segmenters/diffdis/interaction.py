"""DiffDIS's additions to a backbone's UNet: attention between mask and edge (DBIA), the image at three scales (SWCI).

Knows nothing of noise levels, of losses or of how a UNet is loaded.

Letters: N = masks followed by the same number of edges; n tokens of C channels; c latent channels, h x w a skip's grid.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F


class InteractiveBlock(nn.Module):
    """Detail-balancing interactive attention: a transformer block of SD with an added mutual attention (eq. 6).

    Self-attention, mutual attention, attention to the text and feed-forward, each after a LayerNorm and with a residual
    connection. The mutual attention and its LayerNorm start as copies of those of the self-attention.
    """

    def __init__(self, block: Any, variant: Literal["mutual", "fusion"]):
        super().__init__()
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm_mutual, self.mutual = deepcopy(block.norm1), deepcopy(block.attn1)
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ff = block.norm3, block.ff
        self.variant = variant

    def forward(
        self, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, **_: Any
    ) -> torch.Tensor:
        """(N, n, C), masks first -> (N, n, C); diffusers' Transformer2DModel passes these argument names."""
        x = hidden_states
        x = x + self.attn1(self.norm1(x))
        x = x + self._exchanged(self.norm_mutual(x))
        x = x + self.attn2(self.norm2(x), encoder_hidden_states=encoder_hidden_states)
        return x + self.ff(self.norm3(x))

    def _exchanged(self, x: torch.Tensor) -> torch.Tensor:
        """Eq. 6: masks attend to their edges and edges to their masks; with 'fusion' each attends to both."""
        mask, edge = x.chunk(2)
        if self.variant == "fusion":
            both = torch.cat([mask, edge], dim=1)  # (N / 2, 2n, C)
            return self.mutual(x, encoder_hidden_states=both.repeat(2, 1, 1))
        return self.mutual(x, encoder_hidden_states=torch.cat([edge, mask]))


class Injector(nn.Module):
    """One head of the scale-wise conditional injection: s + gamma * s + beta, gamma and beta computed from the image.

    Both come from convolutions that start at zero, so that the output is at first exactly s.
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
    """While open, the last skip of each of the first down blocks passes through its injector; block outputs do not.

    conditions: the input of each injector, (N, c, ., .) each.
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
