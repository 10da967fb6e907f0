"""Reading a dataset: its samples, its table as pandas, its versions and what changed between two of them.

A Dataset is one immutable snapshot, also while a build is running. Knows nothing of how datasets are built.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from models import digests
from models.config.cut import SeedSet
from models.errors import UserError
from models.mappings import differences
from models.paths import given_path
from models.screening.trial import Trial
from storage.dataset import schema
from storage.dataset.prompt_store import read_prompt_store
from storage.dataset.repository import (
    BUILD,
    MAIN,
    attributes_of,
    group_of,
    open_repository,
    reading,
    version_at,
    versions,
)
from storage.dataset.shards import array_of
from storage.text import steps_line


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its mask, prompt, scores and provenance; `Dataset.frame` may have further scores."""

    index: int
    image: NDArray[np.uint8]  # (H, W, 3)
    mask: NDArray[np.bool_]  # (H, W)
    category: str
    phrase: str
    prompt: str
    prompt_source: str
    seed: int
    status: str
    reason: str
    clip_score: float
    uncertainty: float
    energy: float
    area: float
    border: float
    num_components: int
    entropy: float
    similarity: float
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 of all pixels of the mask, x1 and y1 exclusive; see `frame`
    num_clamped: int
    bilateral_refused: bool


@dataclass(frozen=True, eq=False)
class Dataset:
    """One version of a dataset; `ds[i]` is a Sample, `ds.frame()` the table, `ds.group` the Zarr group, read-only."""

    path: Path
    version: str  # "build" for the unpublished tip of a build
    versions: tuple[str, ...]
    group: zarr.Group

    def __len__(self) -> int:
        """Number of planned samples, of any status."""
        return int(array_of(self.group, "status").shape[0])

    def __getitem__(self, index: int) -> Sample:
        position = range(len(self))[index]
        return Sample(
            index=position,
            image=self.read("image", position),
            mask=self.read("mask", position),
            **{name: value for name, value in self._records[position].items() if name in Sample.__dataclass_fields__},
        )

    @property
    def config(self) -> dict[str, Any]:
        """The configuration the dataset was built with."""
        return attributes_of(self.group)["config"]

    @property
    def config_digest(self) -> str:
        """Digest of that configuration, 16 hexadecimal digits."""
        return digests.of(self.config)

    @property
    def statistics(self) -> dict[str, Any]:
        """The summary statistics stored when this version was published."""
        return attributes_of(self.group).get("statistics", {})

    @property
    def trial(self) -> Trial | None:
        """The figures of the first samples when this version was published; None if its build has no trial."""
        figures = self.statistics.get("trial")
        return None if figures is None else Trial(**figures)

    @property
    def mends(self) -> list[dict[str, Any]]:
        """The files that masks were mended by, oldest first: format, base (a version), digest, file, and counts."""
        return attributes_of(self.group).get("mends", [])

    @property
    def seed_sets(self) -> tuple[SeedSet, ...]:
        """The seed sets whose r(p) every sample has in `refined_sets`, in its order; empty in older datasets."""
        return tuple(attributes_of(self.group).get("seed_sets", ()))

    @property
    def maskmill_version(self) -> str:
        """The version of maskmill that created the dataset."""
        return str(attributes_of(self.group).get("maskmill_version", "unknown"))

    @property
    def backbone_commit(self) -> str | None:
        """The commit of the hub's repository that the backbone was read from; None for a folder and older datasets."""
        return attributes_of(self.group).get("backbone_commit")

    @property
    def sampled_in(self) -> str:
        """The steps and the scheduler in words; '' for the default ones."""
        return steps_line(self.config.get("sampling", {}))

    @property
    def loras(self) -> list[dict[str, Any]]:
        """The LoRAs that were fused into the backbone: file, weight and sha256 of each."""
        return attributes_of(self.group).get("lora", [])

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = attributes_of(self.group)["image_size"]
        return height, width

    def prompt_store(self, table: str) -> pd.DataFrame:
        """The prompts that a language model wrote for the dataset ("prompts"), or their requests ("requests")."""
        with reading(f"{self.path}"):
            return read_prompt_store(self.group, table)

    def bank(self, table: str) -> pd.DataFrame:
        """Older name of `prompt_store`, kept for one release."""
        warnings.warn("Dataset.bank is called Dataset.prompt_store now", DeprecationWarning, stacklevel=2)
        return self.prompt_store(table)

    def read(self, name: str, rows: int | slice = slice(None)) -> NDArray[Any]:
        """An array of the group as it is stored, of all samples or some; UserError if its files are damaged."""
        with reading(f"{self.path}"):
            return np.asarray(array_of(self.group, name)[rows])

    def kept(self) -> NDArray[np.intp]:
        """Indices of the samples that screening kept, ascending."""
        return np.flatnonzero(self._table["status"] == schema.STATUS[schema.KEPT])

    def frame(self) -> pd.DataFrame:
        """The table, one row per sample: status by name, box as a tuple (x0, y0, x1, y1); the index is the sample's.

        The box is as stored: it bounds all pixels of the mask, x1 and y1 exclusive. For samples cut before release
        0.1.0 it bounds the mask's largest component, until a recut. Exports compute their boxes from the masks. A
        dataset with mended masks has one more column, `mended`: see `schema.MENDED`.
        """
        return self._table.copy()

    @cached_property
    def _table(self) -> pd.DataFrame:
        columns = {name: self._column(name, spec) for name, spec in schema.table().items()}
        table = pd.DataFrame({name: _series(values) for name, values in columns.items()})
        table["status"] = np.asarray(schema.STATUS, dtype=object)[columns["status"]]
        if schema.MENDED in self.group:
            table[schema.MENDED] = _series(self.read(schema.MENDED))
        return table.rename_axis("index")

    def _column(self, name: str, spec: schema.ArraySpec) -> NDArray[Any]:
        """A column of the table; its fill value if the dataset is older than the column."""
        if name not in self.group:
            return np.full((len(self), *spec.shape), spec.fill, dtype=object if spec.is_text else spec.dtype)
        return self.read(name)

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return [{str(name): value for name, value in row.items()} for row in self._table.to_dict("records")]


def open_dataset(path: str | Path, version: str | None = None) -> Dataset:
    """Open a dataset: its latest published version, the version named, or with "build" the build in progress.

    UserError if there is no readable dataset at `path` or no such version.
    """
    path = given_path(path)
    repo = open_repository(path)
    names = versions(repo)
    if version == BUILD:
        session = repo.readonly_session(BUILD)
    elif version is None:
        version = version_at(repo, MAIN)
        if version is None:
            raise UserError(f'{path}: no version is published yet; finish the build, or open version="build"')
        session = repo.readonly_session(tag=version)
    elif version in names:
        session = repo.readonly_session(tag=version)
    else:
        raise UserError(f"{path}: no version {version}; expected {', '.join([*names, BUILD])}")
    with reading(f"{path}"):
        group = group_of(session)
    schema.check_version(path, attributes_of(group))
    return Dataset(path, version, tuple(names), group)


def diff(path: str | Path, a: str, b: str) -> pd.DataFrame:
    """The changes from version `a` to `b`: one row per sample added, removed or changed; the index is the sample's.

    Columns: change ("added", "removed", "changed"), fields (the table's columns that differ, and "mask"), status_a,
    status_b, and mask_iou, which is NaN for samples in only one of the versions.
    """
    first, second = open_dataset(path, a), open_dataset(path, b)
    before, after = first.frame(), second.frame()
    shared = min(len(before), len(after))
    iou = _mask_ious(first, second, shared)
    names = [name for name in before.columns if name in after.columns]
    differs = pd.DataFrame(
        {name: _unequal(before[name][:shared], after[name][:shared]) for name in names} | {"mask": iou < 1}
    )
    fields = [", ".join(differs.columns[row]) for row in differs.to_numpy()]
    ends = "added" if len(after) > len(before) else "removed"
    longest = range(max(len(before), len(after)))
    rows = pd.DataFrame({"status_a": before["status"], "status_b": after["status"]}, index=longest)
    rows.insert(0, "change", ["changed" if text else "" for text in fields] + [ends] * (len(longest) - shared))
    rows.insert(1, "fields", fields + [""] * (len(longest) - shared))
    rows["mask_iou"] = pd.Series(iou).reindex(longest)
    return rows[rows["change"] != ""].rename_axis("index")


def config_diff(before: Dataset, after: Dataset, absent: Any = None) -> dict[str, tuple[Any, Any]]:
    """Differences between the configurations that two versions were built with, by `models.mappings.differences`."""
    return differences(before.config, after.config, absent)


def _series(values: NDArray[Any]) -> Any:
    """A stored column for pandas: text as str objects, boxes as tuples."""
    if values.ndim == 2:
        return [tuple(row) for row in values.tolist()]
    return values.astype(object) if values.dtype.kind == "T" else values


def _unequal(a: "pd.Series[Any]", b: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Where two columns differ; NaN equals NaN."""
    return np.asarray((a != b) & ~(a.isna() & b.isna()))


def _mask_ious(first: Dataset, second: Dataset, count: int, block: int = 256) -> NDArray[np.float64]:
    """IoU of the first `count` masks of two versions, (count,) in [0, 1]; two empty masks agree."""
    ious = np.ones(count)
    for start in range(0, count, block):
        rows = slice(start, min(start + block, count))
        one, other = (ds.read("mask", rows) for ds in (first, second))
        union = np.count_nonzero(one | other, axis=(1, 2))
        overlap = np.count_nonzero(one & other, axis=(1, 2))
        ious[rows] = np.where(union > 0, overlap / np.maximum(union, 1), 1.0)
    return ious
