"""What a file of mended masks changes in a dataset. Writes nothing.

A mask is compared with the one that was exported and the one that the dataset has now, as versions of a text are
merged: masks that nobody touched stay, also where the dataset has gone on since the export.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import digests
from models.errors import UserError
from models.paths import GivenPath
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.repository import BUILD
from storage.dataset.schema import BY_HAND, MENDED
from storage.dataset.shards import is_mended
from storage.exports.plan import snapshot_of
from storage.mending.cvat import read_cvat
from storage.mending.labelstudio import read_labelstudio
from storage.mending.marks import Mark, Mended
from storage.mending.pictures import read_folders, read_semantic
from storage.text import printable

READERS: dict[str, Callable[[Path, tuple[int, int]], Iterator[Mended]]] = {
    "cvat": read_cvat,
    "labelstudio": read_labelstudio,
    "folders": read_folders,
    "semantic": read_semantic,
}
HAVE_MASKS = ("kept", "rejected")


@dataclass(frozen=True)
class Source:
    """A file or folder of mended masks. version: the one it was exported from, if the file does not say."""

    path: GivenPath
    format: str
    version: str | None = None

    def read(self, size: tuple[int, int]) -> Iterator[Mended]:
        """What it says of each sample; size: (H, W) of the images."""
        if self.format not in READERS:
            raise UserError(f"--format: expected {', '.join(READERS)}, got {self.format!r}; change it")
        if not self.path.exists():
            raise UserError(f"--from {self.path}: no such file or folder; check the path")
        return READERS[self.format](self.path, size)

    def digest(self) -> str:
        """Of the file's content, or of the names and contents of all files of the folder: 16 hexadecimal digits."""
        if not self.path.is_dir():
            return digests.of_file(self.path)[:16]
        files = [file for file in sorted(self.path.rglob("*")) if file.is_file()]
        return digests.of({file.relative_to(self.path).as_posix(): digests.of_file(file) for file in files})


@dataclass(frozen=True)
class Mends:
    """The samples that a source changes, and the version it was exported from, None if it changes none.

    unfinished: whether a killed run has committed the changes already, so that only their screening is left.
    """

    samples: list[Mended]
    base: str | None
    unfinished: bool = False

    def counts(self) -> dict[str, int]:
        """New masks, those of them that are empty (screening rejects their samples), and samples rejected by hand."""
        rejected = sum(each.rejected for each in self.samples)
        emptied = sum(not each.rejected and not each.mask.any() for each in self.samples)
        return {"masks": len(self.samples) - rejected, "emptied": emptied, "rejected": rejected}


def plan_mends(path: Path, source: Source) -> Mends:
    """What the source changes in the dataset at `path`; UserError if anything in it does not fit."""
    dataset = open_dataset(path)
    by_hand, samples = is_mended(dataset.group, BY_HAND), []
    mended = dataset.frame().get(MENDED, np.full(len(dataset), ""))
    bases: dict[Mark | None, Dataset] = {}
    for each in _checked(dataset, source):
        if each.mark not in bases:
            bases[each.mark] = _base(dataset, source, each.mark)
        if len(bases) > 1:
            raise UserError(f"{each.place}: is of another export than the images before; mend with one at a time")
        base = bases[each.mark]
        is_ours = base.version in mended[each.index].split()  # mended from the same export before
        if _is_new(dataset, base, each, is_ours) or (each.rejected and not by_hand[each.index]):
            samples.append(each)
    mends = Mends(samples, next((base.version for base in bases.values()), None))
    tip = open_dataset(path, BUILD)
    if snapshot_of(tip) == snapshot_of(dataset):
        return mends
    if [mend["digest"] for mend in tip.mends[len(dataset.mends) :]] != [source.digest()]:
        raise UserError(f"{path}: a build was started after version {dataset.version}; finish it first")
    return Mends([], mends.base, unfinished=True)


def _checked(dataset: Dataset, source: Source) -> Iterator[Mended]:
    """What the source says of each sample, where sample and class are the dataset's."""
    frame = dataset.frame()
    seen: set[int] = set()
    for each in source.read(dataset.image_size):
        if each.index >= len(dataset) or frame["status"].iloc[each.index] not in HAVE_MASKS:
            raise UserError(f"{each.place}: {dataset.path} {dataset.version} has no mask of sample {each.index}")
        if each.index in seen:
            raise UserError(f"{each.place}: sample {each.index} is there twice; remove one")
        seen.add(each.index)
        category = str(frame["category"].iloc[each.index])
        if other := sorted(each.labels - {category, printable(category)}):
            raise UserError(f"{each.place}: has a mask of {other[0]!r}, but is a {category!r}; a class cannot change")
        yield each


def _base(dataset: Dataset, source: Source, mark: Mark | None) -> Dataset:
    """The version that the source was exported from."""
    if mark is None and source.version is None:
        raise UserError(f"{source.path}: does not say which version its masks are of; give it by --version")
    version = mark.version if mark else str(source.version)
    if source.version not in (None, version):
        raise UserError(f"--version {source.version}: the masks are of {version}; leave --version out")
    base = open_dataset(dataset.path, version) if version in dataset.versions else None
    if base is None or (mark and not snapshot_of(base).startswith(mark.snapshot)):
        raise UserError(
            f"{source.path}: was exported from another dataset or a version that is not there ({mark or version}); "
            f"{dataset.path} has {', '.join(dataset.versions)}"
        )
    return base


def _is_new(dataset: Dataset, base: Dataset, each: Mended, is_ours: bool) -> bool:
    """Whether the mask is changed; UserError if the dataset's mask has changed since the export in another way."""
    now = dataset.read("mask", each.index)
    if np.array_equal(each.mask, now):
        return False
    if each.index >= len(base):
        raise UserError(f"{each.place}: {base.version} has no sample {each.index}; keep the names of the export")
    exported = base.read("mask", each.index)
    if is_ours or np.array_equal(now, exported):
        return True
    if np.array_equal(each.mask, exported):
        return False
    raise UserError(
        f"{each.place}: the dataset's mask of sample {each.index} has changed since {base.version}; export "
        f"{dataset.version} and mend that"
    )
