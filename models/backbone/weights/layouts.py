"""Which files a network's weights lie in, of those that diffusers and transformers write, and whether they are whole.

In full precision or as the variant fp16; as safetensors or pickled (.bin); in one file or in shards that an index
names. Files are named relative to the backbone's folder. Imports no torch, and knows nothing of a hub or of networks.
"""

import json
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from models.backbone.files import EXPECTED, Missing, read_json
from models.errors import UserError

HALF = "fp16"  # the variant that holds float16
UNREAD = (".safetensors", ".bin", ".ckpt", ".msgpack", ".h5", ".onnx")  # weights, if not of these names or kinds
POINTER = b"version https://git-lfs"  # begins the text file that git leaves in place of a large one


@dataclass(frozen=True)
class Layout:
    """A file of weights, or the index of its shards; `plain` is its name in the part's folder without the variant."""

    part: str
    file: str
    plain: str
    half: bool

    @property
    def has_shards(self) -> bool:
        return self.plain.endswith(".json")

    @property
    def is_safe(self) -> bool:
        return ".safetensors" in self.plain


@dataclass(frozen=True)
class Weights:
    """The layout that a part is read from, and its files of tensors."""

    layout: Layout
    files: tuple[str, ...]


def layouts(part: str, half: bool) -> list[Layout]:
    """The layouts of a part in the order of preference: safetensors first, then as the library of the part prefers."""
    if part.startswith("text_encoder"):  # transformers looks for the one file first, diffusers for the index
        stems, suffixes = ("model.safetensors", "pytorch_model.bin"), ("", ".index.json")
    else:
        stems, suffixes = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"), (".index.json", "")
    plain = [stem + suffix for stem in stems for suffix in suffixes]
    return [Layout(part, f"{part}/{file}", name, half) for name in plain for file in _spellings(name, half)]


def _spellings(plain: str, half: bool) -> list[str]:
    """A file's names: the variant stands before the last dot; diffusers once wrote it before `.index.json`."""
    if not half:
        return [plain]
    stem, _, last = plain.rpartition(".")
    older = [f"{stem.removesuffix('.index')}.{HALF}.index.json"] if last == "json" else []
    return [f"{stem}.{HALF}.{last}", *older]


def choose(
    name: str,
    part: str,
    halves: tuple[bool, ...],
    there: Collection[str],
    read_index: Callable[[Layout], tuple[str, ...]],
) -> Weights:
    """The first complete layout, in the first precision of which there is any; Missing if there is none.

    halves: whether to take half precision, in the order of preference. there: the files that there are.
    """
    for half in halves:
        lacking = ""
        for layout in layouts(part, half):
            if layout.file not in there:
                continue
            files = read_index(layout) if layout.has_shards else (layout.file,)
            absent = next((file for file in files if file not in there), None)
            if absent is None:
                return Weights(layout, files)
            lacking = lacking or f"{absent} is missing, which {layout.file} names"
        if lacking:
            raise Missing(f"backbone {name}: {EXPECTED}, but {lacking}; add it")
    one_file = next(layout for layout in layouts(part, half=halves[0]) if not layout.has_shards)
    others = sorted(file for file in there if file.startswith(f"{part}/") and file.endswith(UNREAD))
    unread = f" ({', '.join(others[:3])} cannot be used instead)" if others else ""
    raise Missing(f"backbone {name}: {EXPECTED}, but {one_file.file} is missing; add it{unread}")


def weights_in(name: str, folder: Path, part: str, halves: tuple[bool, ...] = (False, True)) -> Weights:
    """The layout of a part in a folder; UserError if there is none, or if a file of it is damaged."""
    there = {f"{part}/{file.name}" for file in (folder / part).glob("*") if file.is_file()}
    weights = choose(name, part, halves, there, lambda layout: shards(name, layout, folder / layout.file))
    for file in weights.files:
        if why := damage_of(folder / file):
            raise UserError(f"backbone {name}: {file} {why}")
    return weights


def shards(name: str, layout: Layout, index: Path) -> tuple[str, ...]:
    """The files that an index names; UserError if it is not valid or one lies outside of its folder."""
    names = read_json(name, index).get("weight_map")
    files = sorted(set(map(str, names.values()))) if isinstance(names, dict) else []
    if not files:
        raise UserError(f"backbone {name}: {layout.file} names no files of weights; download it again")
    kind = ".safetensors" if layout.is_safe else ".bin"
    for file in files:
        if "/" in file or "\\" in file or not file.endswith(kind):
            raise UserError(
                f"backbone {name}: {layout.file}: expected {kind} files in its own folder, got {file!r}; "
                "download it again"
            )
    return tuple(f"{layout.part}/{file}" for file in files)


def shapes_in(file: Path) -> dict[str, tuple[str, list[int]]] | None:
    """The number format and the shape of each tensor in a safetensors file, by its header; None if it is not whole."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(min(length, 100_000_000)))
            entries = {key: entry for key, entry in header.items() if key != "__metadata__"}
            end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
            shapes = {key: (entry["dtype"], entry["shape"]) for key, entry in entries.items()}
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            return None
    return shapes if file.stat().st_size == 8 + length + end else None


def pointer_in(file: Path) -> str:
    """That git left a pointer in place of the file, and what to do; '' if it did not."""
    with open(file, "rb") as opened:
        is_pointer = opened.read(len(POINTER)) == POINTER
    return "is a Git LFS pointer in place of the weights; fetch them with git lfs pull" if is_pointer else ""


def damage_of(file: Path) -> str:
    """Why a file cannot hold weights, and what to do; '' if it may. Reads headers only."""
    if why := pointer_in(file):
        return why
    with open(file, "rb") as opened:
        start = opened.read(2)
    if not start and not file.name.endswith(".safetensors"):
        return "is empty; download it again"
    if file.name.endswith(".safetensors"):
        whole = shapes_in(file) is not None
    else:  # torch's zip archives end in their directory; its older files are plain pickles
        whole = zipfile.is_zipfile(file) if start.startswith(b"PK") else start.startswith(b"\x80")
    return "" if whole else "is damaged or truncated; download it again"
