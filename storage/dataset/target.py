"""Checks whether a build can start or resume at a path, before anything is written.

Knows nothing of building.
"""

import json
from pathlib import Path
from typing import Any

from models.config.build import BuildConfig
from models.errors import UserError
from models.mappings import differences, leaves
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
from storage.lock import check_lockable
from storage.places import check_place

ABSENT = "absent"  # in place of the value of a missing field
OPTIONAL = {"lora"}  # fields that an identity has only if they are given
LEFTOVERS = {LOCK_FILE, UNFINISHED}  # files that a build leaves if it is killed before the dataset exists


def check_target(path: str | Path, identity: dict[str, Any], count: int) -> None:
    """UserError if a build of `count` samples cannot start or resume at `path`; writes nothing."""
    path = Path(path)
    check_place(path, "maskmill dataset", option="", is_ours=is_dataset, is_leftover=LEFTOVERS.__contains__)
    check_lockable(path)
    if not is_dataset(path):
        return
    group = group_of(open_repository(path).readonly_session(BUILD))
    attributes = attributes_of(group)
    if changed := difference(attributes["config"], identity):
        raise UserError(f"{path} holds a dataset built with another config: {changed}; use that, or another path")
    built = array_of(group, "status").shape[0]
    if count < built:
        raise UserError(f"count: {path} already plans {built} samples, got {count}; give {built} or more")


def is_finished(path: str | Path, count: int) -> bool:
    """Whether a dataset of `count` samples at `path` is built and published, so a build has nothing to do."""
    if not is_dataset(Path(path)):
        return False
    repo = open_repository(Path(path))
    published = version_at(repo, MAIN) is not None and repo.lookup_branch(MAIN) == repo.lookup_branch(BUILD)
    return published and array_of(group_of(repo.readonly_session(BUILD)), "status").shape[0] == count


def difference(config: dict[str, Any], identity: dict[str, Any]) -> str:
    """The first field, dotted, in which a stored config differs from an identity, with both values; '' if none."""
    compared, free = _later_fields(config)
    wanted = leaves(identity)
    stored = {field: value for field, value in compared.items() if field in wanted or field in OPTIONAL}
    stored |= leaves({key: config[key] for key in identity if key in config})
    stored = {field: value for field, value in stored.items() if field not in free}
    for field, values in sorted(differences(stored, wanted, absent=ABSENT).items()):
        there, here = (value if value is ABSENT else _shortened(json.dumps(value)) for value in values)
        return f"{field} is {there} there, {here} here"
    return ""


def _shortened(value: str, limit: int = 80) -> str:
    return value if len(value) <= limit else f"{value[:limit]}... ({len(value)} characters)"


def _later_fields(config: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The compared fields of a stored config, with the defaults of newer fields; and the fields not compared."""
    try:
        whole = BuildConfig.of_stored(config)
    except UserError:
        return {}, set()
    compared = leaves(whole.identity())
    return compared, leaves(whole.model_dump(mode="json", by_alias=True)).keys() - compared.keys()
