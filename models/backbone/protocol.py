"""What a backbone of any family is to the rest: facts, prompts to conditioning, predictions, latents, layers to watch.

Each family is one file (models/backbone/stable_diffusion.py) and one line of the table in models/backbone/facts.py.
Importing it imports no torch. Knows nothing of sampling, of masks or of files.

Letters: B samples, C latent channels, h x w latent grid, H x W image, L text tokens, n cells of a layer's own grid.
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
    """What a backbone's json files tell. Sizes are (height, width): images in pixels, latents in cells."""

    name: str
    folder: Path
    family: str  # its pipeline's class name in model_index.json
    image_size: tuple[int, int]
    latent_channels: int
    latent_size: tuple[int, int]
    vae_factor: int
    multiple: int  # a side of the image must be a multiple of this, for the UNet to halve it evenly
    prediction_type: str  # epsilon or v_prediction
    num_cross: int  # cross-attention layers of the UNet
    num_halvings: int  # times the UNet halves the latent grid
    num_middle: int  # transformer blocks in the UNet's middle
    cross_width: int  # channels of what they attend to
    taught: Taught | None = None  # all that it knows; None where it knows language

    def sizes(self, height: int | None, width: int | None) -> tuple[tuple[int, int], tuple[int, int]]:
        """Image (H, W) and latent (h, w) size for the asked height and width; the backbone's own where None."""
        H, W = height or self.image_size[0], width or self.image_size[1]
        for field, side in (("height", H), ("width", W)):
            if side % self.multiple:
                raise UserError(f"sampling.{field}: expected a multiple of {self.multiple}, got {side}; change it")
        return (H, W), (H // self.vae_factor, W // self.vae_factor)


@dataclass(frozen=True)
class Conditioning:
    """What the network is told of B prompts. A family that tells it more has a subclass with more fields.

    tokens: (B, L, width), embeddings of the tokens, which cross-attention attends to. Every field begins with B.
    """

    tokens: "torch.Tensor"

    def repeated(self, times: int) -> Self:
        """That of one prompt, as often as asked for; without a copy."""
        return self._with(lambda values: values.expand(times, *values.shape[1:]))

    def followed_by(self, other: Self) -> Self:
        """Both in one batch."""
        import torch

        joined = {field.name: [getattr(each, field.name) for each in (self, other)] for field in fields(self)}
        return type(self)(**{name: torch.cat(values) for name, values in joined.items()})

    def _with(self, change: Callable[["torch.Tensor"], "torch.Tensor"]) -> Self:
        return type(self)(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class AttentionLayer:
    """One attention layer. halvings: times that its grid is the latent grid halved; is_cross: attends to the tokens."""

    name: str
    halvings: int
    is_cross: bool


@dataclass(frozen=True)
class FeatureLayer:
    """One layer whose output is a feature map of `channels` channels; halvings as of AttentionLayer."""

    name: str
    halvings: int
    channels: int


# Told of a layer's queries (B, heads, n, d) and keys (B, heads, n or L, d), and the factor of their products.
OnAttention = Callable[[AttentionLayer, "torch.Tensor", "torch.Tensor", float], None]
# Told of a layer's output, (B, channels, h, w).
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
        """All that it predicts by, each a torch.nn.Module, for a digest of their weights."""

    def encode_text(self, prompts: list[str]) -> Conditioning:
        """The conditioning of B prompts, each padded and truncated to the L tokens of the tokenizer."""

    def predict(self, latents: "torch.Tensor", t: int, conditioning: Conditioning) -> "torch.Tensor":
        """What the network says of noisy latents (B, C, h, w) at noise level t: (B, C, h, w) float32."""

    def encode(self, images: "torch.Tensor") -> "torch.Tensor":
        """Pixels (B, 3, H, W) in [-1, 1] -> clean latents (B, C, h, w) float32."""

    def decode(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Clean latents (B, C, h, w) -> pixels (B, 3, H, W) float32, about [-1, 1]; NaN stays NaN."""

    def watch_attention(self, batch: int, watch: OnAttention) -> AbstractContextManager[None]:
        """Meanwhile tell `watch` of the last `batch` samples in every attention layer of every prediction.

        What the network computes does not change.
        """

    def feature_layers(self, blocks: Blocks) -> list[FeatureLayer]:
        """The layers that features are taken from, in the network's order."""

    def watch_features(self, batch: int, blocks: Blocks, watch: OnFeatures) -> AbstractContextManager[None]:
        """Meanwhile tell `watch` of the last `batch` samples' outputs of `feature_layers` in every prediction."""


class Family(Protocol):
    """What a family's module has. PIPELINE: its class name in model_index.json, and facts' `family`."""

    PIPELINE: str
    LIGHT_FILES: list[str]  # patterns of the files that facts are read from

    def facts_of(self, name: str, folder: Path) -> BackboneFacts:
        """Facts of the backbone in a folder, or a UserError of one line. Loads no weights, imports no torch."""

    def load(self, facts: BackboneFacts, device: str, dtype: str) -> Backbone:
        """Its networks; UserError where they cannot be loaded."""
