"""The interface of a backbone of any family: facts, text encoding, prediction, latents, layers to watch.

Each family is one file (models/backbone/stable_diffusion.py) and one line of the table in models/backbone/facts.py.
Importing it imports no torch. Knows nothing of sampling, of masks or of files.

Letters: B samples, C latent channels, h x w latent grid, H x W image, L text tokens, n cells of a layer's grid.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from models.classes.pocket import Taught
from models.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import CLIPTokenizer

Blocks = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class BackboneFacts:
    """Facts read from a backbone's json files. Sizes are (height, width): images in pixels, latents in cells."""

    name: str
    folder: Path
    family: str  # the pipeline's class name in model_index.json
    image_size: tuple[int, int]
    latent_channels: int
    latent_size: tuple[int, int]
    vae_factor: int
    multiple: int  # a side of the image must be a multiple of this, so that the UNet can halve it evenly
    prediction_type: str  # epsilon or v_prediction
    num_cross: int  # cross-attention layers of the UNet
    num_halvings: int  # times the UNet halves the latent grid
    num_middle: int  # transformer blocks in the UNet's middle
    cross_width: int  # channels of the text embeddings that cross-attention attends to
    attention_halvings: int = 0  # times the latent grid is halved for the finest attention; evidence lies on that grid
    parts: tuple[str, ...] = ()  # folders of the networks that weights are read for
    upcast: tuple[str, ...] = ()  # those of them that stay in float32 where the others are in float16
    commit: str | None = None  # of the hub's repository; None for a folder
    taught: Taught | None = None  # the classes and words it was trained on; None if not limited to a list

    def sizes(self, height: int | None, width: int | None) -> tuple[tuple[int, int], tuple[int, int]]:
        """Image (H, W) and latent (h, w) size for a height and width; None is the backbone's native one."""
        H, W = height or self.image_size[0], width or self.image_size[1]
        for field, side in (("height", H), ("width", W)):
            if side % self.multiple:
                raise UserError(f"sampling.{field}: expected a multiple of {self.multiple}, got {side}; change it")
        return (H, W), (H // self.vae_factor, W // self.vae_factor)

    def attention_grid(self, latent: tuple[int, int]) -> tuple[int, int]:
        """Grid of the evidence for a latent (h, w): that of the finest attention layers."""
        h, w = latent
        return h >> self.attention_halvings, w >> self.attention_halvings


@dataclass(frozen=True)
class Conditioning:
    """B encoded prompts. A family whose network takes more than tokens has a subclass with more fields.

    tokens: (B, L, width), embeddings of the tokens, which cross-attention attends to. Every field's first axis is B.
    """

    tokens: "torch.Tensor"

    def repeated(self, times: int) -> Self:
        """One prompt's conditioning as a batch of `times`, without a copy."""
        return self._with(lambda values: values.expand(times, *values.shape[1:]))

    def followed_by(self, other: Self) -> Self:
        """Both concatenated into one batch."""
        import torch

        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return type(self)(**{name: torch.cat(pair) for name, pair in pairs.items()})

    def _with(self, change: Callable[["torch.Tensor"], "torch.Tensor"]) -> Self:
        return type(self)(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class AttentionLayer:
    """One attention layer. halvings: how often the latent grid is halved for it; is_cross: attends to the tokens."""

    name: str
    halvings: int
    is_cross: bool


@dataclass(frozen=True)
class FeatureLayer:
    """One layer whose output is a feature map of `channels` channels; halvings as in AttentionLayer."""

    name: str
    halvings: int
    channels: int


# Called with a layer's queries (B, heads, n, d), its keys (B, heads, n or L, d) and the scale of their products.
OnAttention = Callable[[AttentionLayer, "torch.Tensor", "torch.Tensor", float], None]
# Called with a layer's output, (B, channels, h, w).
OnFeatures = Callable[[FeatureLayer, "torch.Tensor"], None]


class Backbone(Protocol):
    """A loaded backbone: frozen networks in evaluation mode, on one device and in one number format."""

    @property
    def facts(self) -> BackboneFacts: ...

    @property
    def tokenizer(self) -> "CLIPTokenizer": ...

    @property
    def device(self) -> "torch.device": ...

    @property
    def dtype(self) -> "torch.dtype": ...

    @property
    def alpha_bar(self) -> "torch.Tensor":
        """The schedule's cumulative alpha of each noise level: (levels,) float32 on the CPU."""

    @property
    def networks(self) -> Sequence[Any]:
        """All networks that its predictions depend on, each a torch.nn.Module, for a digest of their weights."""

    def encode_text(self, prompts: list[str]) -> Conditioning:
        """The conditioning of B prompts, each padded and truncated to the L tokens of the tokenizer."""

    def unconditional(self) -> Conditioning:
        """The conditioning of one sample without a prompt, from which guidance leads away."""

    def predict(self, latents: "torch.Tensor", t: int, conditioning: Conditioning) -> "torch.Tensor":
        """The network's output for noisy latents (B, C, h, w) at noise level t: (B, C, h, w) float32."""

    def encode(self, images: "torch.Tensor") -> "torch.Tensor":
        """Pixels (B, 3, H, W) in [-1, 1] -> clean latents (B, C, h, w) float32."""

    def decode(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Clean latents (B, C, h, w) -> pixels (B, 3, H, W) float32, about [-1, 1]; NaN stays NaN."""

    def watch_attention(self, batch: int, watch: OnAttention) -> AbstractContextManager[None]:
        """While open, call `watch` for the last `batch` samples in every attention layer of every prediction.

        The network's output does not change.
        """

    def feature_layers(self, blocks: Blocks) -> list[FeatureLayer]:
        """The layers whose outputs are used as features, in the network's order."""

    def watch_features(self, batch: int, blocks: Blocks, watch: OnFeatures) -> AbstractContextManager[None]:
        """While open, call `watch` with the last `batch` samples' outputs of `feature_layers` in every prediction."""


class Family(Protocol):
    """The interface of a family's module. PIPELINE: its class name in model_index.json, `family` in the facts."""

    PIPELINE: str
    LIGHT_FILES: list[str]  # patterns of the files that facts are read from

    def facts_of(self, name: str, folder: Path) -> BackboneFacts:
        """Facts of the backbone in a folder; UserError if it is not valid. Loads no weights, imports no torch."""

    def load(self, facts: BackboneFacts, device: str, dtype: str) -> Backbone:
        """The loaded backbone; UserError if its networks cannot be loaded."""
