"""The files of a backbone: where its folder lies, and whether they are there and whole. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from models.config.backbone import is_pocket
from models.errors import UserError

POCKET_FOLDER = Path(__file__).parents[1] / "pocket" / "weights"
EXPECTED = "expected Stable Diffusion 1.x or 2.x in the diffusers layout"


def is_local(name: str) -> bool:
    """Whether a backbone lies in a folder here, so that all its files must be there."""
    return is_pocket(name) or Path(name).exists()


def locate(name: str, patterns: list[str]) -> Path:
    """The folder of a backbone; a hub id's files are taken from the user's cache, else fetched."""
    if is_pocket(name):
        return POCKET_FOLDER
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(f"backbone: {EXPECTED}, got {name!r}, which is no folder; name 'pocket', a folder or a hub id")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except OSError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (OSError, ValueError, HTTPError) as error:
        raise UserError(
            f"backbone: {name!r} is no folder here and could not be fetched as a hub id ({type(error).__name__}); "
            "check the name and the network, or give a folder"
        ) from error


def read_json(name: str, file: Path) -> dict[str, Any]:
    """The mapping in a json file of the named backbone; UserError for none."""
    if not file.is_file():
        raise UserError(f"backbone {name}: {EXPECTED}, but {file.parent.name}/{file.name} is missing; add it")
    try:
        found = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        message = f"backbone {name}: {file.parent.name}/{file.name} is not valid json; fetch it again"
        raise UserError(message) from error
    if not isinstance(found, dict):
        raise UserError(f"backbone {name}: {file.parent.name}/{file.name} holds no mapping; fetch it again")
    return found


def refuse_missing(name: str, folder: Path, parts: tuple[tuple[tuple[str, ...], ...], ...]) -> None:
    """UserError where a part has none of its groups of files whole: parts -> groups -> files."""
    for choices in parts:
        there = [files for files in choices if all((folder / file).is_file() for file in files)]
        if not there:
            raise UserError(f"backbone {name}: {EXPECTED}, but {choices[0][0]} is missing; add it")
        for file in there[0]:
            if file.endswith(".safetensors") and not _is_whole(folder / file):
                raise UserError(f"backbone {name}: {file} is damaged or cut short; fetch it again")


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says; reads the header alone."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(min(length, 100_000_000)))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return False
    return file.stat().st_size == 8 + length + max(ends, default=0)
