"""The Icechunk repository inside a dataset folder: creating and opening it, its branches and its version tags.

Knows nothing of samples or shards. `main` only ever points to a published version, `build` to the build in progress.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import icechunk
import zarr

from models.errors import UserError
from storage.atomic import put
from storage.dataset.schema import check_version
from storage.places import REPOSITORY

MAIN, BUILD = "main", "build"
LOCK_FILE = "build.lock"
UNFINISHED = "repo.unfinished"
CHUNKS_PER_MANIFEST = 128  # a commit rewrites the manifests it touches: short manifests keep its cost independent of N

# Icechunk warns, whenever it opens a local folder, that concurrent commits there are unsafe. Ours are never concurrent:
# only the process that holds the build lock commits. A value of ICECHUNK_LOG is respected.
if "ICECHUNK_LOG" not in os.environ:
    icechunk.set_logs_filter("warn,icechunk::storage::object_store=error")


def repository_folder(path: Path) -> Path:
    """The repository of the dataset at `path`."""
    return path / REPOSITORY


def is_dataset(path: Path) -> bool:
    """Whether there is a dataset at `path`, built or being built."""
    return repository_folder(path).is_dir()


def open_repository(path: Path) -> icechunk.Repository:
    """Open the repository of an existing dataset; UserError if there is none, or it cannot be read as a dataset."""
    if not is_dataset(path):
        raise UserError(f"{path}: expected a maskmill dataset (a folder with repo/ in it), found none; check the path")
    try:
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(repository_folder(path))))
    except icechunk.IcechunkError as error:
        raise UserError(f"{path}: repo/ is not a readable Icechunk repository ({_first_line(error)})") from error
    with reading(f"{path}"):
        try:
            attributes = attributes_of(group_of(repo.readonly_session(BUILD))) if BUILD in repo.list_branches() else {}
        except (zarr.errors.ContainsArrayError, FileNotFoundError):
            attributes = {}
    if not {"schema_version", "config"} <= attributes.keys():
        raise UserError(f"{path}: repo/ is an Icechunk repository, but not of a dataset; choose another path")
    check_version(path, attributes)
    return repo


def create_repository(path: Path, fill: Callable[[zarr.Group], None]) -> icechunk.Repository:
    """Create a repository; `fill` writes the group on branch `build`. The repository appears complete or not at all."""
    unfinished = path / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a build killed right here
    with writing(f"{path}"):
        config = icechunk.RepositoryConfig.default()
        every, axis = icechunk.ManifestSplitCondition.name_matches(".*"), icechunk.ManifestSplitDimCondition.Axis(0)
        splitting = icechunk.ManifestSplittingConfig(((every, ((axis, CHUNKS_PER_MANIFEST),)),))
        config.manifest = icechunk.ManifestConfig(splitting=splitting)
        repo = icechunk.Repository.create(icechunk.local_filesystem_storage(str(unfinished)), config=config)
        repo.save_config()
        repo.create_branch(BUILD, repo.lookup_branch(MAIN))
        session = repo.writable_session(BUILD)
        fill(zarr.create_group(session.store))
        session.commit("Create the dataset")
        put(unfinished, repository_folder(path))
    return open_repository(path)


def group_of(session: icechunk.Session, mode: Literal["r", "r+"] = "r") -> zarr.Group:
    """The dataset's group in a session."""
    return zarr.open_group(session.store, mode=mode)


def attributes_of(group: zarr.Group) -> dict[str, Any]:
    """The dataset's attributes: config, schema_version, shard_size, image_size, grid, statistics, maskmill_version ..."""
    return dict(group.attrs)


def versions(repo: icechunk.Repository) -> list[str]:
    """Names of the published versions, oldest first; other tags are ignored."""
    return sorted((tag for tag in repo.list_tags() if re.fullmatch(r"v\d+", tag)), key=lambda tag: int(tag[1:]))


def version_at(repo: icechunk.Repository, branch: str) -> str | None:
    """The version whose snapshot a branch points to, or None."""
    tip = repo.lookup_branch(branch)
    return next((tag for tag in reversed(versions(repo)) if repo.lookup_tag(tag) == tip), None)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn the errors that the store and its decoders raise for damaged or missing files into a UserError."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # of Icechunk, Zarr and numcodecs, which have no error in common
        raise UserError(
            f"{what}: its stored data cannot be read ({_first_line(error)}); files in repo/ are damaged or missing: "
            "restore the dataset, or build it again at another path"
        ) from error


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn the store's write errors into an OSError which says that nothing committed is lost."""
    try:
        yield
    except icechunk.IcechunkError as error:
        raise OSError(
            f"{what}: writing failed ({_first_line(error)}); nothing committed is lost: "
            "check the disk (space, permissions) and run the same command again"
        ) from error


def _first_line(error: Exception) -> str:
    """An Icechunk error's message without its trace."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("x ").strip()
