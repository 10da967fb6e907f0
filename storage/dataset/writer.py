"""Building a dataset: creating, resuming and extending it, committing shards, publishing versions.

The build lock allows one writer at a time. Only that writer commits: to the branch `build`; it moves `main` when the
build is complete. Pending work is read from the committed table alone. Knows nothing of how samples are made.
"""

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import icechunk
import numpy as np
import pandas as pd
import zarr

from models.config.cut import SEED_SETS
from models.config.screening import ScreenConfig
from models.errors import UserError
from models.screening.rules import columns_scored
from storage.dataset import schema
from storage.dataset.prompt_store import read_prompt_store
from storage.dataset.repository import (
    BUILD,
    LOCK_FILE,
    MAIN,
    attributes_of,
    create_repository,
    group_of,
    is_dataset,
    open_repository,
    version_at,
    versions,
    writing,
)
from storage.dataset.shards import array_of, is_mended
from storage.dataset.target import check_target, difference
from storage.lock import WriterLock

OTHERS = "another build is writing this dataset"
STAGES = {"plan": None, "sample": schema.PLANNED, "cut": schema.SAMPLED, "screen": schema.CUT}


class DatasetWriter:
    """The only writer of a dataset; a context manager that holds its lock. Created by `open` or `reopen`."""

    def __init__(self, path: Path, repo: icechunk.Repository, lock: WriterLock):
        self.path = path
        self._repo = repo
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: str | Path,
        config: dict[str, Any],
        identity: dict[str, Any],
        image_size: tuple[int, int],
        grid: tuple[int, int],
        shard_size: int,
        count: int,
        pooled: tuple[int, int] | None = None,
        commit: str | None = None,
    ) -> Self:
        """Create the dataset, resume its build, or extend it to a larger `count`.

        `config` is stored complete; `identity` is the part of it that may not change between runs. `pooled` is (K, L)
        if A_s's columns at K seed cells and the class maps of L layers are kept, as for `schema.array_specs`. `commit`
        is that of the backbone's repository at the hub, which is stored for good.
        UserError if the path cannot hold this dataset (`check_target`) or another build is writing it.
        """
        path = Path(path)
        check_target(path, identity, count)
        path.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(path / LOCK_FILE, OTHERS)
        try:
            if not is_dataset(path):
                specs = schema.array_specs(image_size, grid, pooled)
                attributes = {
                    "config": config,
                    "schema_version": schema.SCHEMA_VERSION,
                    "shard_size": shard_size,
                    "image_size": list(image_size),
                    "grid": list(grid),
                    "maskmill_version": _maskmill_version(),
                }
                attributes |= {} if commit is None else {"backbone_commit": commit}
                if pooled is None:
                    attributes["seed_sets"] = list(SEED_SETS)
                create_repository(path, lambda group: _fill(group, specs, attributes, shard_size, count))
            check_target(path, identity, count)  # again: another build may have ended meanwhile
            writer = cls(path, open_repository(path), lock)
            writer._check_sizes(image_size=list(image_size), grid=list(grid), shard_size=shard_size)
            writer._extend(config, count)
        except BaseException:
            lock.release()
            raise
        return writer

    @classmethod
    def reopen(cls, path: str | Path) -> Self:
        """Open an existing dataset unchanged, to solve its masks again (`recut`)."""
        path = Path(path)
        repo = open_repository(path)
        return cls(path, repo, WriterLock(path / LOCK_FILE, OTHERS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def config(self) -> dict[str, Any]:
        """The configuration stored with the build in progress."""
        return attributes_of(self._group())["config"]

    @property
    def count(self) -> int:
        """Planned number of samples."""
        return int(array_of(self._group(), "status").shape[0])

    def num_with(self, status: str) -> int:
        """Number of samples with a status, given by name."""
        return int(np.count_nonzero(array_of(self._group(), "status")[:] == schema.STATUS.index(status)))

    @property
    def published(self) -> bool:
        """Whether the build is complete: its tip is a published version."""
        tip = self._repo.lookup_branch(BUILD)
        return tip == self._repo.lookup_branch(MAIN) and version_at(self._repo, MAIN) is not None

    def pending(self, stage: str) -> list[int]:
        """Shards with work left for a stage: "plan" (a prompt is missing), "sample", "cut" or "screen"."""
        group = self._group()
        if stage == "plan":
            todo = array_of(group, "prompt")[:] == ""
        else:
            todo = array_of(group, "status")[:] == STAGES[stage]
        return np.unique(np.flatnonzero(todo) // attributes_of(group)["shard_size"]).tolist()

    def fork(self) -> icechunk.ForkSession:
        """A picklable view of the build's tip for one task to write to; give each task a separate one."""
        return self._repo.writable_session(BUILD).fork()

    def commit(self, fork: icechunk.ForkSession, message: str) -> None:
        """Merge a fork into the build. Forks may be committed in any order."""
        session = self._repo.writable_session(BUILD)
        with writing(f"{self.path}"):
            session.merge(fork)
            if session.has_uncommitted_changes:
                session.commit(message)

    def prompt_store(self, table: str) -> pd.DataFrame:
        """A committed table of the prompt store: "prompts" or "requests"."""
        return read_prompt_store(self._group(), table)

    def edit(self, change: Callable[[zarr.Group], None], message: str) -> None:
        """Apply `change` to the dataset's group and commit it."""
        session = self._repo.writable_session(BUILD)
        with writing(f"{self.path}"):
            change(group_of(session, "r+"))
            session.commit(message)

    def publish(self, message: str, statistics: dict[str, Any] | None = None) -> str:
        """Publish the finished build and return the name of its version; an unchanged build keeps its version.

        UserError if shards are not finished.
        """
        version = version_at(self._repo, BUILD)
        if version is None:
            left = {stage: len(shards) for stage in STAGES if (shards := self.pending(stage))}
            if left:
                raise UserError(f"{self.path}: cannot publish, unfinished shards: {left}; finish the build first")
            self._set_attribute("statistics", statistics or {}, message)
            version = f"v{1 + len(versions(self._repo))}"
            with writing(f"{self.path}"):
                self._repo.create_tag(version, snapshot_id=self._repo.lookup_branch(BUILD))
        if not self.published:  # also after a kill between the tag and this line
            with writing(f"{self.path}"):
                self._repo.reset_branch(MAIN, self._repo.lookup_branch(BUILD))
        return version

    def begin_screening(self, width: int | None, config: ScreenConfig) -> None:
        """Create the arrays for screening: embeddings of `width` (none if None), and the table's newer columns.

        Samples that were screened before an active rule's score existed are marked to be screened again.
        """
        session = self._repo.writable_session(BUILD)
        group = group_of(session, "r+")
        with writing(f"{self.path}"):
            _add_columns(group)
            _fit_embedding(group, width)
            status = array_of(group, "status")[:]
            screened = np.isin(status, (schema.KEPT, schema.REJECTED))
            again = screened & _lacking(group, columns_scored(config))
            if again.any():
                _set_back(group, again, schema.CUT)
            if session.has_uncommitted_changes:
                session.commit("Begin to screen")

    def recut(self, config: dict[str, Any], identity: dict[str, Any], stage: str | None = "cut") -> None:
        """Start to solve all masks of the published version again under another config: cut samples become sampled.

        With stage "screen" the masks stay and are scored again; with None the scores stay too. Mended masks stay in
        any case.
        An unfinished recut with the same `identity` resumes; one with another identity is dropped.
        UserError if nothing is published yet or a build is in progress.
        """
        if difference(self.config, identity) and not self.published:
            self._drop_recut()
        if not difference(self.config, identity):
            return
        session = self._repo.writable_session(BUILD)
        group = group_of(session, "r+")
        again = np.isin(array_of(group, "status")[:], (schema.CUT, schema.KEPT, schema.REJECTED))
        with writing(f"{self.path}"):
            _add_columns(group)
            if stage is not None:
                _set_back(group, again, STAGES[stage])
                _set_back(group, again & is_mended(group), schema.CUT)
            group.attrs["config"] = config
            session.commit("Begin to solve the masks again")

    def _drop_recut(self) -> None:
        """Return to the published version, if the only work since is an unfinished recut."""
        if version_at(self._repo, MAIN) is None:
            raise UserError(f"{self.path}: nothing is published yet; finish the build first")
        published = group_of(self._repo.readonly_session(MAIN))
        extended = self.count != array_of(published, "status").shape[0]
        if extended or self.config == attributes_of(published)["config"]:
            raise UserError(f"{self.path}: a build was started after the last version; finish it first")
        self._repo.reset_branch(BUILD, self._repo.lookup_branch(MAIN))

    def _group(self) -> zarr.Group:
        return group_of(self._repo.readonly_session(BUILD))

    def _set_attribute(self, name: str, value: dict[str, Any], message: str) -> None:
        """Commit one attribute of the group, if it changes."""
        session = self._repo.writable_session(BUILD)
        group = group_of(session, "r+")
        if json.dumps(group.attrs.get(name), sort_keys=True) != json.dumps(value, sort_keys=True):
            with writing(f"{self.path}"):
                group.attrs[name] = value
                session.commit(message)

    def _check_sizes(self, **sizes: Any) -> None:
        """UserError if the stored arrays have other sizes than these, naming the first that differs."""
        stored = attributes_of(self._group())
        for name, size in sizes.items():
            if stored[name] != size:
                raise UserError(f"{self.path}: {name} is {stored[name]} there, {size} here; use that, or another path")

    def _extend(self, config: dict[str, Any], count: int) -> None:
        """Extend the arrays to a larger count with planned samples. Unfinished builds gain newer columns too."""
        before = self.count
        lacking = schema.table().keys() - set(self._group().array_keys())
        if count == before and (self.published or not lacking):
            return
        session = self._repo.writable_session(BUILD)
        group = group_of(session, "r+")
        with writing(f"{self.path}"):
            _add_columns(group)
            for _, array in group.arrays():
                array.resize((count, *array.shape[1:]))
            group.attrs["config"] = config
            session.commit(f"Extend from {before} to {count} samples")


def _fill(
    group: zarr.Group, specs: dict[str, schema.ArraySpec], attributes: dict[str, Any], shard_size: int, count: int
) -> None:
    """Create the dataset's arrays, at their fill values, and its attributes."""
    for name, spec in specs.items():
        create_array(group, name, spec, shard_size, count)
    group.attrs.update(attributes)


def _add_columns(group: zarr.Group) -> None:
    """Create the columns that the table has gained since the dataset was begun."""
    count, shard_size = array_of(group, "status").shape[0], attributes_of(group)["shard_size"]
    for name, spec in schema.table().items():
        if name not in group:
            create_array(group, name, spec, shard_size, count)


def _lacking(group: zarr.Group, names: list[str]) -> np.ndarray:
    """The samples for which any of the columns is unwritten, (N,) bool."""
    lacking = np.zeros(array_of(group, "status").shape[0], dtype=bool)
    for name in names:
        array = array_of(group, name)
        values = np.asarray(array[:])
        unwritten = np.isnan(values) if np.isnan(array.fill_value) else values == array.fill_value
        lacking |= unwritten.reshape(len(lacking), -1).all(axis=1)
    return lacking


def _set_back(group: zarr.Group, which: np.ndarray, status: int | None) -> None:
    """Give the selected samples, (N,) bool, an earlier status and an empty reason."""
    for name, value in (("status", status), ("reason", "")):
        array = array_of(group, name)
        array[:] = np.where(which, np.asarray(value, array.dtype), array[:])


def _fit_embedding(group: zarr.Group, width: int | None) -> None:
    """Create an empty array of embeddings if there is none of that width; delete the array if width is None."""
    stored = group.get("embedding")
    if width is None and stored is not None:
        del group["embedding"]
    elif width is not None and (stored is None or array_of(group, "embedding").shape[1] != width):
        count, shard_size = array_of(group, "status").shape[0], attributes_of(group)["shard_size"]
        if stored is not None:
            del group["embedding"]
        create_array(group, "embedding", schema.embedding_spec(width), shard_size, count)


def create_array(group: zarr.Group, name: str, spec: schema.ArraySpec, shard_size: int, count: int) -> None:
    """Create an array of `count` samples at its fill value."""
    group.create_array(
        name,
        shape=(count, *spec.shape),
        chunks=(schema.chunk_rows(name, spec, shard_size), *spec.shape),
        dtype=str if spec.is_text else spec.dtype,
        fill_value=spec.fill,
        compressors=None if name == "image" else "auto",  # pixels of a photograph hardly compress
    )


def _maskmill_version() -> str:
    try:
        return installed_version("maskmill")
    except PackageNotFoundError:
        return "unknown"
