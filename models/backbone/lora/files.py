"""A LoRA's file: where it is, how strongly it counts, and the pairs of matrices in it by the layer that they change.

Read are kohya's names (`lora_unet_..._to_q.lora_down.weight`, with `alpha`), also those of SDXL's original blocks, and
diffusers' old and new ones (`unet....to_q.lora_A.weight`). Imports no torch, and knows no network.

A layer's change is weight * alpha / rank * (up @ down); up (out, rank, ...), down (rank, in, ...).
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import digests
from models.backbone.weights.layouts import damage_of, shapes_in
from models.errors import UserError

FILES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")  # in a folder, as diffusers and peft save it
EXPECTED = "expected a LoRA of the backbone, PATH or PATH:WEIGHT"
# How a name ends -> which part of the pair it is.
ENDS = {
    ".lora_down.weight": "down", ".lora_up.weight": "up", ".lora_A.weight": "down", ".lora_B.weight": "up",
    ".lora_A.default.weight": "down", ".lora_B.default.weight": "up", ".lora.down.weight": "down",
    ".lora.up.weight": "up", "_lora.down.weight": "down", "_lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down", ".lora_linear_layer.up.weight": "up", ".alpha": "alpha",
}  # fmt: skip
# A part of a tensor's name -> what a file with it is.
BACKBONE, FLUX, SD3 = "a whole backbone", "a LoRA of Flux", "a LoRA of Stable Diffusion 3"
OTHERS = {
    "hada_": "a LoHa", "lokr_": "a LoKr", "dora_scale": "a DoRA", "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoRA of three matrices", "oft_": "an OFT", "emb_params": "a textual inversion",
    "first_stage_model.": BACKBONE, "cond_stage_model.": BACKBONE, "conditioner.": BACKBONE,
    "model.diffusion_model.": BACKBONE, "control_model.": "a ControlNet", ".diff": "a difference of whole weights",
    "double_blocks": FLUX, "single_blocks": FLUX, "joint_blocks": SD3,
    "transformer.": "a LoRA of Flux or Stable Diffusion 3", "lora_transformer_": "a LoRA of Flux or Stable Diffusion 3",
}  # fmt: skip
ATTENTION = {"_to_q": "_q_proj", "_to_k": "_k_proj", "_to_v": "_v_proj", "_to_out_0": "_out_proj"}
# How a layer's name begins -> the part of the backbone.
PARTS = {
    "lora_unet_": "unet", "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2", "lora_te_": "text_encoder",
    "unet.": "unet", "text_encoder_2.": "text_encoder_2", "text_encoder.": "text_encoder", "base_model.model.": "unet",
    "down_blocks.": "unet", "up_blocks.": "unet", "mid_block.": "unet",
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """The tensors that change one layer. layer: its name with `_` between words, as `down_blocks_0_resnets_0_conv1`."""

    part: str
    layer: str
    down: str
    up: str
    alpha: str | None  # name of the tensor with alpha; None: `scale` is alpha / rank
    scale: float
    down_shape: tuple[int, ...]
    up_shape: tuple[int, ...]


@dataclass(frozen=True)
class Lora:
    """A checked LoRA. given: as in the configuration; sha256: of its file."""

    given: str
    file: Path
    weight: float
    sha256: str
    pairs: tuple[Pair, ...]

    def facts(self) -> dict[str, str | float]:
        """What a dataset keeps of it."""
        return {"file": self.file.name, "weight": self.weight, "sha256": self.sha256}


def read_lora(given: str) -> Lora:
    """The LoRA that PATH or PATH:WEIGHT names; UserError if it is not there, not whole or not one that is read."""
    path, weight = _place(given)
    file = path
    if path.is_dir():
        file = next((path / name for name in FILES if (path / name).is_file()), path / FILES[0])
    if not file.is_file():
        raise UserError(f"lora {given}: {EXPECTED}, but {file} is not there; check the path")
    if file.suffix != ".safetensors":
        raise UserError(f"lora {given}: {EXPECTED} in a .safetensors file, got {file.name}; choose or convert to that")
    if why := damage_of(file):
        raise UserError(f"lora {given}: {file.name} {why}")
    shapes = {name: tuple(shape) for name, (_, shape) in (shapes_in(file) or {}).items()}
    pairs = _pairs(given, shapes, _settings(given, file))
    return Lora(given, file, weight, digests.of_file(file), pairs)


def _place(given: str) -> tuple[Path, float]:
    from models.paths import given_path

    path, colon, weight = given.rpartition(":")
    if not colon or Path(given).exists():
        return given_path(given), 1.0
    try:
        value = float(weight)
    except ValueError:
        return given_path(given), 1.0
    if not math.isfinite(value):
        raise UserError(f"lora {given}: expected a finite weight, as in {path}:0.8, got {weight}; change it")
    return given_path(path), value


def _settings(given: str, file: Path) -> dict[str, Any]:
    """peft's settings by part, as `unet.lora_alpha`: in diffusers' header, or in a file beside peft's; {} if none."""
    with open(file, "rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    beside = file.with_name("adapter_config.json")
    try:
        if file.name == FILES[1] and beside.is_file():
            return {f"unet.{name}": value for name, value in json.loads(beside.read_text()).items()}
        return dict(json.loads((header.get("__metadata__") or {}).get("lora_adapter_metadata", "{}")))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"lora {given}: its settings are not valid json; download it again") from error


def _scale(given: str, settings: dict[str, Any], part: str, layer: str, rank: int) -> float:
    """alpha / rank, or alpha / sqrt(rank) where the settings say so; 1 without settings."""
    alpha = settings.get(f"{part}.lora_alpha", rank)
    for pattern, value in dict(settings.get(f"{part}.alpha_pattern") or {}).items():
        if f"_{layer}".endswith("_" + pattern.replace(".", "_")):
            alpha = value
            break
    if not isinstance(alpha, int | float):
        raise UserError(f"lora {given}: expected a number as alpha of {layer}, got {alpha!r}; download it again")
    return alpha / (math.sqrt(rank) if settings.get(f"{part}.use_rslora") else rank)


def _pairs(given: str, shapes: dict[str, tuple[int, ...]], settings: dict[str, Any]) -> tuple[Pair, ...]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in shapes:
        part, layer, role = _read(given, name)
        found.setdefault((part, layer), {})[role] = name
    pairs = []
    for (part, layer), names in sorted(found.items()):
        if "down" not in names or "up" not in names:
            lacks = "down" if "down" not in names else "up"
            raise UserError(f"lora {given}: {layer} has no {lacks} matrix; download it again")
        down, up = shapes[names["down"]], shapes[names["up"]]
        if len(down) not in (2, 4) or len(down) != len(up) or up[1] != down[0] or not down[0]:
            raise UserError(f"lora {given}: the matrices of {layer}, {up} and {down}, do not fit; download it again")
        scale = _scale(given, settings, part, layer, down[0])
        pairs.append(Pair(part, layer, names["down"], names["up"], names.get("alpha"), scale, down, up))
    if not pairs:
        raise UserError(f"lora {given}: {EXPECTED}, got a file without a tensor; choose another")
    return tuple(pairs)


def _read(given: str, name: str) -> tuple[str, str, str]:
    """(part, layer, role) of a tensor's name."""
    if what := next((what for mark, what in OTHERS.items() if mark in name), None):
        raise UserError(f"lora {given}: {EXPECTED}, got {what} ({name}), which is not read; choose another file")
    end = next((end for end in ENDS if name.endswith(end)), None)
    begin = next((begin for begin in PARTS if name.startswith(begin)), None)
    if end is None or begin is None:
        raise UserError(f"lora {given}: {EXPECTED}, got a tensor {name[:100]}; choose a LoRA's file")
    layer = name.removesuffix(end)
    layer = layer if begin.endswith(("_block.", "_blocks.")) else layer.removeprefix(begin)
    layer = layer.replace(".processor.", ".")  # of diffusers' first LoRAs
    layer = re.sub(r"to_out$", "to_out.0", layer) if end.startswith("_lora") else layer
    layer = re.sub(r"[._]+", "_", layer).removeprefix("text_model_")
    if PARTS[begin] != "unet":  # diffusers' first LoRAs name a text encoder's attention as a UNet's
        layer = next((layer.removesuffix(a) + b for a, b in ATTENTION.items() if layer.endswith(a)), layer)
    return PARTS[begin], layer, ENDS[end]
