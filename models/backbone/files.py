"""The files of a backbone: its folder, and its json files. Imports no torch, and knows nothing of weights."""

import json
from pathlib import Path
from typing import Any

from models.backbone.weights import hub
from models.config.backbone import is_pocket
from models.errors import UserError

POCKET_FOLDER = Path(__file__).parents[1] / "pocket" / "weights"
SUFFIXES = (".safetensors", ".ckpt")  # of single files
EXPECTED = "expected Stable Diffusion 1.x, 2.x or XL in the diffusers layout"


def is_local(name: str) -> bool:
    """Whether a backbone is a local folder, in which all its files must exist."""
    return is_pocket(name) or Path(name).exists()


def is_hub_id(name: str) -> bool:
    """Whether a backbone's name can be a hub id, OWNER/NAME, and is not that of a local folder."""
    has_form = name.count("/") == 1 and not name.startswith((".", "/", "~")) and not is_single_file(name)
    return has_form and not is_local(name)


def is_single_file(name: str) -> bool:
    """Whether a backbone's name is that of a single file, there or not."""
    return name.endswith(SUFFIXES)


def locate(name: str, patterns: list[str], revision: str | None = None) -> Path:
    """The folder of a backbone; what the user's cache lacks of a hub id's files is downloaded."""
    if is_hub_id(name):
        return hub.fetch(name, patterns, revision)
    if revision is not None:
        raise UserError(
            f"revision: expected none, since backbone {name} is not a hub id, got {revision!r}; leave it out"
        )
    if is_pocket(name):
        return POCKET_FOLDER
    if Path(name).is_dir():
        return Path(name)
    raise UserError(
        f"backbone: {EXPECTED}, got {name!r}, which is not there; name 'pocket', a folder, a .safetensors or .ckpt "
        "file, or a hub id"
    )


class Missing(UserError):
    """A file that a backbone needs is not there."""


def read_json(name: str, file: Path) -> dict[str, Any]:
    """The mapping in a json file of the named backbone; UserError if it is missing or not valid."""
    if not file.is_file():
        raise Missing(f"backbone {name}: {EXPECTED}, but {file.parent.name}/{file.name} is missing; add it")
    try:
        content = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        message = f"backbone {name}: {file.parent.name}/{file.name} is not valid json; download it again"
        raise UserError(message) from error
    if not isinstance(content, dict):
        raise UserError(f"backbone {name}: {file.parent.name}/{file.name} is not a mapping; download it again")
    return content


def refuse_missing(name: str, folder: Path, parts: tuple[tuple[tuple[str, ...], ...], ...]) -> None:
    """Missing if none of a part's groups of files is complete; `parts` is nested: parts, groups, files."""
    for groups in parts:
        if not any(all((folder / file).is_file() for file in files) for files in groups):
            raise Missing(f"backbone {name}: {EXPECTED}, but {groups[0][0]} is missing; add it")
