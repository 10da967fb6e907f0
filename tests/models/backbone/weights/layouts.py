"""Tiny networks rewritten as diffusers and transformers lay weights out: variants, shards, pickled files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

PARTS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}


def stem(part: str, pickled: bool = False) -> str:
    if part != "text_encoder":
        return "diffusion_pytorch_model"
    return "pytorch_model" if pickled else "model"


def file_of(folder: Path, part: str) -> Path:
    return folder / part / f"{stem(part)}.safetensors"


def half(folder: Path, keep: bool = False) -> None:
    """The variant fp16, alone or beside full precision."""
    for part in PARTS:
        file = file_of(folder, part)
        tensors = {name: value.half() for name, value in load_file(file).items()}
        save_file(tensors, file.with_name(f"{stem(part)}.fp16.safetensors"), metadata={"format": "pt"})
        if not keep:
            file.unlink()


def both(folder: Path) -> None:
    half(folder, keep=True)


def pickled(folder: Path) -> None:
    for part in PARTS:
        file = file_of(folder, part)
        torch.save(load_file(file), file.with_name(f"{stem(part, pickled=True)}.bin"))
        file.unlink()


def pickled_half(folder: Path) -> None:
    for part in PARTS:
        file = file_of(folder, part)
        tensors = {name: value.half() for name, value in load_file(file).items()}
        torch.save(tensors, file.with_name(f"{stem(part, pickled=True)}.fp16.bin"))
        file.unlink()


def sharded(folder: Path) -> None:
    """As the libraries write shards themselves."""
    for part, kind in PARTS.items():
        network = kind.from_pretrained(folder, subfolder=part)
        file_of(folder, part).unlink()
        network.save_pretrained(folder / part, max_shard_size="8KB" if part == "text_encoder" else "50KB")


def sharded_half(folder: Path) -> None:
    for part, kind in PARTS.items():
        network = kind.from_pretrained(folder, subfolder=part).half()
        file_of(folder, part).unlink()
        network.save_pretrained(
            folder / part, max_shard_size="4KB" if part == "text_encoder" else "25KB", variant="fp16"
        )


def pickled_shards(folder: Path) -> None:
    """Shards of pickled tensors, with the index that both libraries wrote before safetensors."""
    for part in PARTS:
        file = file_of(folder, part)
        tensors, name = load_file(file), stem(part, pickled=True)
        file.unlink()
        names = sorted(tensors)
        groups = [names[start::3] for start in range(3)]
        where = {}
        for number, group in enumerate(groups, 1):
            shard = f"{name}-{number:05d}-of-00003.bin"
            torch.save({key: tensors[key] for key in group}, folder / part / shard)
            where |= dict.fromkeys(group, shard)
        (folder / part / f"{name}.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def legacy_index(folder: Path) -> None:
    """The index's name as older diffusers wrote it, `.fp16` before `.index.json`."""
    sharded_half(folder)
    for index in folder.glob("*/diffusion*.index.fp16.json"):
        index.rename(index.with_name(index.name.replace(".index.fp16", ".fp16.index")))


def untouched(folder: Path) -> None:
    """Safetensors in full precision."""


FULL: list[Callable[[Path], None]] = [untouched, pickled, sharded, pickled_shards, both]
HALF: list[Callable[[Path], None]] = [half, pickled_half, sharded_half, legacy_index]


def laid_out(source: Path, folder: Path, layout: Callable[[Path], None]) -> Path:
    """A copy of a folder in another layout."""
    shutil.copytree(source, folder)
    layout(folder)
    return folder
