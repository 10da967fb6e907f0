"""May a build start or go on at a path? The checks that come before anything is written.

Knows nothing of building.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.config.build import BuildConfig
from models.errors import UserError
from storage.dataset.repository import (
    BUILD,
    LOCK_FILE,
    MAIN,
    UNFINISHED,
    attributes_of,
    group_of,
    is_dataset,
    open_repository,
    version_at,
)
from storage.dataset.shards import array_of
from storage.places import check_writable


def check_target(path: str | Path, identity: dict[str, Any], count: int) -> None:
    """UserError if a build of `count` samples cannot start or go on at `path`; writes nothing."""
    path = Path(path)
    if not is_dataset(path):
        _refuse_foreign(path)
        return
    group = group_of(open_repository(path).readonly_session(BUILD))
    attributes = attributes_of(group)
    found = difference(attributes["config"], identity)
    if found:
        raise UserError(f"{path} holds a dataset built with another config: {found}; use that, or another path")
    built = array_of(group, "status").shape[0]
    if count < built:
        raise UserError(f"count: {path} already plans {built} samples, got {count}; give {built} or more")


def is_finished(path: str | Path, count: int) -> bool:
    """Whether a dataset of `count` samples at `path` is built and published, so that a build has nothing to do."""
    if not is_dataset(Path(path)):
        return False
    repo = open_repository(Path(path))
    published = version_at(repo, MAIN) is not None and repo.lookup_branch(MAIN) == repo.lookup_branch(BUILD)
    return published and array_of(group_of(repo.readonly_session(BUILD)), "status").shape[0] == count


def _refuse_foreign(path: Path) -> None:
    """UserError if there is something at `path` that is not the start of a dataset, or no folder can be made there."""
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: is a link to nowhere; choose another path")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: expected a folder for the dataset, found a file; choose another path")
    check_writable(path)
    ours = {LOCK_FILE, UNFINISHED}
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in ours) if path.exists() else []
    if others:
        raise UserError(f"{path}: holds {others[0]} and is no maskmill dataset; choose an empty or new folder")


def difference(config: dict[str, Any], identity: dict[str, Any]) -> str:
    """The first field, dotted, in which a stored config departs from an identity, with both values; else empty."""
    stored, wanted = _flat({key: config[key] for key in identity if key in config}), _flat(identity)
    gained, free = _later_fields(config)
    stored = {field: value for field, value in gained.items() if field in wanted} | stored
    stored = {field: value for field, value in stored.items() if field not in free}
    for field in sorted(stored.keys() | wanted.keys()):
        if stored.get(field) != wanted.get(field):
            there, here = (_shortened(side.get(field, "absent")) for side in (stored, wanted))
            return f"{field} is {there} there, {here} here"
    return ""


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings that are no mappings themselves, by dotted name."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _shortened(value: str, limit: int = 80) -> str:
    return value if len(value) <= limit else f"{value[:limit]}... ({len(value)} characters)"


def _later_fields(config: dict[str, Any]) -> tuple[dict[str, str], set[str]]:
    """What is compared of a stored config, with the defaults of fields gained since; and the fields that are not."""
    try:
        whole = BuildConfig.of_stored(config)
    except ValidationError:
        return {}, set()
    compared = _flat(whole.identity())
    return compared, _flat(whole.model_dump(mode="json", by_alias=True)).keys() - compared.keys()


def _flat(tree: dict[str, Any]) -> dict[str, str]:
    """The leaves of nested mappings by dotted name, as JSON."""
    return {name: json.dumps(value) for name, value in leaves(tree).items()}
