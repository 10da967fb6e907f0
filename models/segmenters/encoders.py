"""Frozen pre-trained encoders of timm and open_clip, such as DINO, MoCo and CLIP, and their feature maps.

Images are resized to the encoder's size, ignoring their aspect ratio, and normalised by the encoder's mean and std.
Knows nothing of decoders or of masks.

Letters: B images, C channels, h x w a feature map's grid.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from typing import Any

import numpy as np
import open_clip
import timm
import torch
from torch import nn

from models.clip.model import check_clip
from models.errors import UserError
from models.hardware import resolve_device
from models.images import resized
from models.training.weights import misfits

PREFIXES = ("encoder_q.", "base_encoder.", "backbone.")  # MoCo v1 and v2, MoCo v3, and many others


@dataclass(frozen=True, eq=False)
class Encoder:
    """A frozen network on its device. size: (H, W) of its images; mean, std: per channel, of pixels in [0, 1].

    layers: number of its last feature maps that are used: patch tokens of a ViT's last blocks, or maps of a ResNet's
    last strides.
    """

    network: nn.Module
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: int

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.no_grad()
    def features(self, images: list[np.ndarray]) -> list[torch.Tensor]:
        """(H, W, 3) uint8 of any sizes -> for each layer (B, C, h, w) float32."""
        squares = torch.from_numpy(np.stack([resized(image, self.size) for image in images])).to(self.device)
        mean, std = (torch.tensor(values, device=self.device) for values in (self.mean, self.std))
        inputs = ((squares / 255 - mean) / std).permute(0, 3, 1, 2)  # (B, 3, H, W)
        with torch.autocast(self.device.type, enabled=False):  # so that training and prediction give the same
            maps = self.network.forward_intermediates(inputs, indices=self.layers, intermediates_only=True)
        return (
            maps["image_intermediates"] if isinstance(maps, dict) else maps
        )  # a dict from open_clip, a list from timm


@lru_cache(maxsize=2)
def load_encoder(name: str, weights: str, layers: int, seed: int, device: str = "auto") -> Encoder:
    """'timm:NAME' or 'open_clip:NAME[:TAG]' with weights 'pretrained', 'random' (from `seed`) or from a file.

    Loaded once per process; pretrained weights are downloaded unless they are in the user's cache. With random weights
    or a file, the name's tag only determines how images are prepared. UserError if the name or file does not exist,
    weights cannot be downloaded or do not fit, or the encoder has fewer layers.
    """
    library, _, model = name.partition(":")
    check_weights(weights)
    torch.manual_seed(seed)
    create = timm_encoder if library == "timm" else _open_clip_encoder
    network, size, mean, std = create(model, weights)
    network.to(resolve_device(device)).eval().requires_grad_(False)
    encoder = Encoder(network, size, tuple(mean), tuple(std), layers)
    try:
        encoder.features([np.zeros((*size, 3), np.uint8)])
    except (AttributeError, AssertionError, TypeError, ValueError) as error:
        raise UserError(f"encoder {name}: has fewer than {layers} layers with maps ({error}); lower layers") from error
    return encoder


def check_weights(weights: str) -> None:
    """UserError if weights are neither 'pretrained' nor 'random' nor an existing file."""
    if weights not in ("pretrained", "random") and not Path(weights).is_file():
        raise UserError(
            f"weights: expected 'pretrained', 'random' or a file, but {weights} is not a file; check the path"
        )


def fitting_weights(network: nn.Module, file: str) -> dict[str, torch.Tensor]:
    """A file's tensors under the names of a timm network without its classifier; UserError if they do not fit.

    If the file has several networks or a wrapped one, the tensors below a prefix of PREFIXES are used. A classifier, or
    a projection head in its place, is left out.
    """
    expected = network.state_dict()
    heads = network.pretrained_cfg.get("classifier") or "fc"
    heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
    with _loading(f"weights {file}"):
        state = timm.models.load_state_dict(file)  # unwraps 'state_dict' and 'module.'
        prefix = next((prefix for prefix in PREFIXES if any(name.startswith(prefix) for name in state)), "")
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        state = {name: value for name, value in state.items() if name in expected or not name.startswith(heads)}
        problems = misfits(state, expected)
    if problems:
        raise UserError(
            f"weights {file}: {len(problems)} of its tensors do not fit the encoder: {', '.join(problems[:3])}; name "
            "the encoder of these weights"
        )
    return state


def timm_encoder(model: str, weights: str) -> tuple[nn.Module, tuple[int, int], Any, Any]:
    """A network of timm without its classifier, the (H, W) of its images, and the mean and std of their pixels."""
    if not timm.is_model(model):
        raise UserError(f"encoder: timm has no model {model!r}; name one of timm.list_models()")
    check_weights(weights)
    with _loading(f"encoder timm:{model}"):
        network = timm.create_model(model, pretrained=weights == "pretrained", num_classes=0)
    if weights not in ("pretrained", "random"):
        network.load_state_dict(fitting_weights(network, weights))
    facts = timm.data.resolve_model_data_config(network)
    return network, facts["input_size"][1:], facts["mean"], facts["std"]


def _open_clip_encoder(model: str, weights: str) -> tuple[nn.Module, tuple[int, int], Any, Any]:
    """The image tower. A tag trained with QuickGELU runs with it, also with other weights."""
    architecture, _, tag = model.partition(":")
    pretrained = {"pretrained": tag, "random": None}.get(weights, weights)
    if architecture not in open_clip.list_models():
        raise UserError(f"encoder: open_clip has no model {architecture!r}; name one of open_clip.list_models()")
    if weights == "pretrained":
        check_clip(f"{architecture}:{tag}", "encoder")
    quick = open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False)
    with _loading(f"encoder open_clip:{model}"):
        tower = open_clip.create_model(architecture, pretrained, force_quick_gelu=quick, pretrained_text=False).visual
    size = tower.image_size
    return tower, (size, size) if isinstance(size, int) else size, tower.image_mean, tower.image_std


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """Turn any exception that the libraries raise while loading into a UserError of one line."""
    try:
        yield
    except Exception as error:  # from the hub, torch, safetensors, pickle ...
        # torch's message for such a file advises to unpickle it.
        text = "not a file of tensors" if isinstance(error, UnpicklingError) else str(error)
        why = shorten(f"{type(error).__name__}: {text}", 300)
        raise UserError(
            f"{what}: could not be loaded ({why}); check the network or the file, or set weights to a file"
        ) from error
