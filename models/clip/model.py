"""CLIP models: pocket's small one, or any of open_clip's. Knows nothing of classes or of screening."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from models.backbone.files import POCKET_FOLDER
from models.backbone.tokens import load_tokenizer
from models.config.backbone import is_pocket
from models.errors import UserError
from models.hardware import resolve_device
from models.pocket import networks
from models.pocket.export import load_weights
from models.pocket.inputs import clip_input, short_caption, to_tensor, token_ids

TEMPLATES = (
    "a photo of {}.",
    "a picture of {}.",
    "a close-up photo of {}.",
    "a cropped photo of {}.",
    "a bright photo of {}.",
    "a dark photo of {}.",
    "a photo of {} in its surroundings.",
)
POCKET_TEMPLATES = ("a photo of {}", "a picture of {}")  # pocket's CLIP was trained with these only


@dataclass(frozen=True)
class Clip:
    """A loaded model: `encode_images` (B, H, W, 3) uint8 -> (B, D) and `encode_texts`, both of unit length.

    caption: puts a class name into one sentence; templates: several sentences for a name with its article.
    """

    name: str
    model: Any
    tokenizer: Any
    preprocess: Any
    device: torch.device
    caption: Callable[[str], str] = "a photo of a {}.".format
    templates: tuple[str, ...] = TEMPLATES

    @property
    def width(self) -> int:
        """D."""
        return self.encode_texts([""]).shape[1]

    @torch.no_grad()
    def encode_images(self, images: np.ndarray) -> torch.Tensor:
        if self.preprocess is None:
            batch = clip_input(to_tensor(images, self.device))
        else:
            batch = torch.stack([self.preprocess(Image.fromarray(image)) for image in images]).to(self.device)
        return self.model.encode_image(batch, normalize=True).float()

    @torch.no_grad()
    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        return self.model.encode_text(self.tokenizer(texts).to(self.device), normalize=True).float()


def load_clip(name: str, device: str = "auto", field: str = "screen.clip") -> Clip:
    """'pocket', or 'ARCHITECTURE:weights' with open_clip's tag or a file; UserError if it cannot be loaded.

    Loaded once per process; a tag's weights are downloaded unless they are in the user's cache. A tag trained with
    QuickGELU runs with it; for a file, name the architecture with -quickgelu if it needs it.
    `field` is the configuration field that errors name.
    """
    return _load(name, torch.device(resolve_device(device)), field)


@cache
def _load(name: str, device: torch.device, field: str) -> Clip:
    if is_pocket(name):
        model = load_weights(POCKET_FOLDER, "clip", networks.clip()).to(device).eval()
        tokenise = partial(token_ids, load_tokenizer(POCKET_FOLDER))
        return Clip(name, model, tokenise, None, device, short_caption, POCKET_TEMPLATES)
    check_clip(name, field)
    architecture, _, weights = name.partition(":")
    quick = open_clip.get_pretrained_cfg(architecture, weights).get("quick_gelu", False)  # open_clip only warns
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(architecture, weights, force_quick_gelu=quick)
        tokenizer = open_clip.get_tokenizer(architecture)
    except Exception as error:  # from the hub, torch, safetensors, pickle ...
        why = shorten(f"{type(error).__name__}: {error}", 200)
        raise UserError(
            f"{field}: {name!r} could not be loaded ({why}); check the network or the file, give a file as in "
            f"{architecture}:/path/weights.pt, or write 'none'"
        ) from error
    return Clip(name, model.to(device).eval(), tokenizer, preprocess, device)


def check_clip(name: str, field: str = "screen.clip") -> None:
    """UserError if open_clip lacks the model or the weights of 'ARCHITECTURE:weights'; downloads nothing."""
    architecture, _, weights = name.partition(":")
    if architecture not in open_clip.list_models():
        raise UserError(
            f"{field}: open_clip has no model {architecture!r}; name one of open_clip.list_models(), or 'none'"
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights not in tags and not Path(weights).is_file():
        raise UserError(
            f"{field}: {architecture} has no weights {weights!r}; write {architecture}:TAG with a TAG of "
            f"{', '.join(tags) or 'none'}, or {architecture}:FILE"
        )
