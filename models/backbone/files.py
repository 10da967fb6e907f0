"""The files of a backbone: its folder, and whether the files exist and are complete. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from models.config.backbone import is_pocket
from models.errors import UserError

POCKET_FOLDER = Path(__file__).parents[1] / "pocket" / "weights"
EXPECTED = "expected Stable Diffusion 1.x, 2.x or XL in the diffusers layout"


def is_local(name: str) -> bool:
    """Whether a backbone is a local folder, in which all its files must exist."""
    return is_pocket(name) or Path(name).exists()


def locate(name: str, patterns: list[str]) -> Path:
    """The folder of a backbone; a hub id's files come from the user's cache, or are downloaded."""
    if is_pocket(name):
        return POCKET_FOLDER
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(
            f"backbone: {EXPECTED}, got {name!r}, which is not a folder; name 'pocket', a folder or a hub id"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except OSError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the hub's client, its HTTP library and that library's proxies share no base error
        raise UserError(
            f"backbone: {name!r} is not a local folder and could not be downloaded as a hub id "
            f"({type(error).__name__}); check the name, the network and its proxy, or give a folder"
        ) from error


def read_json(name: str, file: Path) -> dict[str, Any]:
    """The mapping in a json file of the named backbone; UserError if it is missing or not valid."""
    if not file.is_file():
        raise UserError(f"backbone {name}: {EXPECTED}, but {file.parent.name}/{file.name} is missing; add it")
    try:
        content = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        message = f"backbone {name}: {file.parent.name}/{file.name} is not valid json; download it again"
        raise UserError(message) from error
    if not isinstance(content, dict):
        raise UserError(f"backbone {name}: {file.parent.name}/{file.name} is not a mapping; download it again")
    return content


def refuse_missing(name: str, folder: Path, parts: tuple[tuple[tuple[str, ...], ...], ...]) -> None:
    """UserError if none of a part's groups of files is complete; `parts` is nested: parts, groups, files."""
    for groups in parts:
        complete = [files for files in groups if all((folder / file).is_file() for file in files)]
        if not complete:
            raise UserError(f"backbone {name}: {EXPECTED}, but {groups[0][0]} is missing; add it")
        for file in complete[0]:
            if file.endswith(".safetensors") and not _is_whole(folder / file):
                raise UserError(f"backbone {name}: {file} is damaged or truncated; download it again")


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file has the length given in its header; reads only the header."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(min(length, 100_000_000)))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return False
    return file.stat().st_size == 8 + length + max(ends, default=0)
