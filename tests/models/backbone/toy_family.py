"""A family of backbones for tests: numbers in one json file, a network of one attention layer of each kind.

Latents are an image's blocks of 2 x 2 pixels, so encoding and decoding lose what differs within a block. The network
says that the noise is a small part of what it is shown, moved by what the image's cells attend to in the prompt.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from models.backbone.protocol import (
    AttentionLayer,
    BackboneFacts,
    Blocks,
    Conditioning,
    FeatureLayer,
    OnAttention,
    OnFeatures,
)
from tests.tiny import tiny_tokenizer

PIPELINE = "ToyPipeline"
LIGHT_FILES = ["toy.json"]
CROSS, SELF = AttentionLayer("cross", 0, is_cross=True), AttentionLayer("self", 1, is_cross=False)
FEATURES = FeatureLayer("mixed", 0, 3)


def facts_of(name: str, folder: Path) -> BackboneFacts:
    side = json.loads((folder / "toy.json").read_text())["side"]
    return BackboneFacts(
        name=name, folder=folder, family=PIPELINE, image_size=(2 * side, 2 * side), latent_channels=3,
        latent_size=(side, side), vae_factor=2, multiple=4, prediction_type="epsilon", num_cross=1, num_halvings=1,
        num_middle=0, cross_width=3,
    )  # fmt: skip


def load(facts: BackboneFacts, device: str, dtype: str) -> "Toy":
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(len(tiny_tokenizer()), 3).requires_grad_(False)
    alpha_bar = torch.linspace(0.999, 0.01, 1000)
    return Toy(facts, tiny_tokenizer(), embedding, alpha_bar, torch.device(device), getattr(torch, dtype))


@dataclass(frozen=True)
class Worded(Conditioning):
    """words: (B,), how many tokens of the prompt are no padding: what this family tells beside the tokens."""

    words: torch.Tensor


@dataclass(frozen=True, eq=False)
class Toy:
    facts: BackboneFacts
    tokenizer: Any
    embedding: torch.nn.Embedding
    alpha_bar: torch.Tensor
    device: torch.device
    dtype: torch.dtype

    def __post_init__(self) -> None:
        object.__setattr__(self, "watching", {"attention": None, "features": None})

    @property
    def networks(self) -> list[torch.nn.Module]:
        return [self.embedding]

    def encode_text(self, prompts: list[str]) -> Worded:
        found = self.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt")
        return Worded(self.embedding(found.input_ids), found.attention_mask.sum(1))

    def unconditional(self) -> Worded:
        return self.encode_text([""])

    def predict(self, latents: torch.Tensor, t: int, conditioning: Worded) -> torch.Tensor:
        B, C, h, w = latents.shape
        cells, small = latents.flatten(2).transpose(1, 2), F.avg_pool2d(latents, 2).flatten(2).transpose(1, 2)
        self._tell(CROSS, cells, conditioning.tokens)
        self._tell(SELF, small, small)
        told = (cells @ conditioning.tokens.transpose(1, 2)).softmax(2) @ conditioning.tokens
        told = told / conditioning.words[:, None, None]
        mixed = (0.1 * cells + 0.1 * told).transpose(1, 2).reshape(B, C, h, w)
        if self.watching["features"]:
            batch, watch = self.watching["features"]
            watch(FEATURES, mixed[-batch:])
        return mixed.float()

    def _tell(self, layer: AttentionLayer, query: torch.Tensor, key: torch.Tensor) -> None:
        if self.watching["attention"]:
            batch, watch = self.watching["attention"]
            watch(layer, query[-batch:, None], key[-batch:, None], 1.0)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(images, 2)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return F.interpolate(latents, scale_factor=2, mode="nearest")

    @contextmanager
    def watch_attention(self, batch: int, watch: OnAttention) -> Iterator[None]:
        self.watching["attention"] = (batch, watch)
        yield
        self.watching["attention"] = None

    def feature_layers(self, blocks: Blocks) -> list[FeatureLayer]:
        return [FEATURES]

    @contextmanager
    def watch_features(self, batch: int, blocks: Blocks, watch: OnFeatures) -> Iterator[None]:
        self.watching["features"] = (batch, watch)
        yield
        self.watching["features"] = None
