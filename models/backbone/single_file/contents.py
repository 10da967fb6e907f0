"""What a single file holds, by its tensors' names and shapes: a Stable Diffusion that is read, or what else it is.

Importing it imports no torch; reading a .ckpt does. Loads no network.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.backbone.single_file.configs import folder_of
from models.backbone.weights.layouts import damage_of, pointer_in, shapes_in
from models.errors import UserError

EXPECTED = "expected all of Stable Diffusion 1.x, 2.x or XL in one file"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"  # the UNet's first convolution
PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model."}
TEXTS = {
    "1.x": {"text_encoder": "cond_stage_model.transformer."},
    "2.x": {"text_encoder": "cond_stage_model.model."},
    "XL": {"text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": "conditioner.embedders.1.model."},
}
# A part of a tensor's name -> what a file with it is.
OTHERS = {
    "lora": "a LoRA; name it in lora, beside its backbone",
    "hada_": "a LoHa; LoRA alone is read",
    "lokr_": "a LoKr; LoRA alone is read",
    "control_model.": "a ControlNet",
    "joint_blocks.": "Stable Diffusion 3",
    "double_blocks.": "a Flux model",
    "transformer_blocks.0.attn1.to_q": "a UNet alone, in the diffusers layout; name a folder with all its parts",
    "decoder.conv_in.": "a VAE alone",
    "text_model.": "a text encoder alone",
    "emb_params": "a textual inversion",
}
CHANNELS = {9: "an inpainting model", 8: "an image-editing model", 5: "a depth model", 7: "an upscaler"}


def folder_for(file: Path) -> Path:
    """The folder with the configurations of a file's networks; UserError if the file is not one that is read."""
    shapes = tensor_shapes(file)
    kind = _kind(file, shapes)
    beside = file.with_suffix("")
    if (beside / "unet" / "config.json").is_file():
        return beside
    width = shapes[FIRST][0]
    if width != 320:
        raise UserError(
            f"backbone {file}: {EXPECTED}, whose UNet has 320 channels at first, got {width}; put a folder "
            f"{beside.name} with its configurations in the diffusers layout beside it"
        )
    return folder_of(_variant(file, kind, shapes))


def _variant(file: Path, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The kind of the configuration; what a network predicts is not among its weights."""
    if kind == "2.x" and "512" in file.name:  # as the published files of the two sizes are named
        return "2.x base"
    if kind == "XL" and "v_pred" in shapes:  # empty tensors, by which fine-tunes say so
        return "XL v ztsnr" if "ztsnr" in shapes else "XL v"
    return kind


def part_prefixes(file: Path) -> dict[str, str]:
    """What the names of each part's tensors begin with."""
    return PREFIXES | TEXTS[_kind(file, tensor_shapes(file))]


def _kind(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """1.x, 2.x or XL; UserError for anything else, named where it is known."""
    if FIRST not in shapes:
        found = next((what for mark, what in OTHERS.items() if any(mark in name for name in shapes)), "other tensors")
        raise UserError(f"backbone {file}: {EXPECTED}, got {found}")
    if shapes[FIRST][1] != 4:
        what = CHANNELS.get(shapes[FIRST][1], f"a UNet that takes {shapes[FIRST][1]} channels")
        raise UserError(f"backbone {file}: {EXPECTED}, got {what}; choose one that makes images from text alone")
    if any(name.startswith("conditioner.embedders.0.model.") for name in shapes):
        raise UserError(f"backbone {file}: {EXPECTED}, got SDXL's refiner; choose the base")
    if any(name.startswith("edm_") for name in shapes):
        what = "an EDM model such as Playground 2.5 or CosXL"
        raise UserError(f"backbone {file}: {EXPECTED}, got {what}, whose noise levels are other ones; choose another")
    kinds = (kind for kind, texts in TEXTS.items() if all(any(n.startswith(p) for n in shapes) for p in texts.values()))
    found = next(kinds, "")
    if not found:
        raise UserError(f"backbone {file}: {EXPECTED}, got one without a text encoder; choose the complete file")
    if not any(name.startswith(PREFIXES["vae"]) for name in shapes):
        raise UserError(f"backbone {file}: {EXPECTED}, got one without a VAE; choose the complete file")
    return found


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor; UserError if the file is not whole, or if it may hold code."""
    is_safe = file.suffix == ".safetensors"
    if why := (damage_of if is_safe else pointer_in)(file):
        raise UserError(f"backbone {file}: {why}")
    if is_safe:
        return {name: tuple(sizes) for name, (_, sizes) in (shapes_in(file) or {}).items()}
    return {name: tuple(tensor.shape) for name, tensor in unpickled(file).items()}


def unpickled(file: Path) -> dict[str, Any]:
    """The tensors of a .ckpt by name, read without running code (weights_only), mapped into memory if it is a zip."""
    import pickle

    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_archive(file))
    except pickle.UnpicklingError as error:
        raise UserError(
            f"backbone {file}: holds objects besides tensors, which could run code, so that it is not read; "
            "choose its .safetensors"
        ) from error
    except Exception as error:  # of torch's readers, which share no base error
        raise UserError(
            f"backbone {file}: is damaged or truncated ({type(error).__name__}); download it again"
        ) from error
    while isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise UserError(f"backbone {file}: {EXPECTED}, got a {type(content).__name__}; choose its .safetensors")
    return {name: tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}


def _is_archive(file: Path) -> bool:
    with open(file, "rb") as opened:
        return opened.read(2) == b"PK"
