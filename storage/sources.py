"""Where images and masks come from: a version of a dataset, or a folder of photographs with masks.

Knows nothing of how they are used.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models import digests
from models.errors import UserError, encodable
from models.paths import GivenPath
from storage.dataset.reader import Dataset, open_dataset
from storage.photos.folders import Benchmark, open_folder
from storage.photos.notes import Notes

CONTENT = ("category", "prompt", "seed", "status", "area", "box")


class Source(BaseModel):
    """A dataset, or a folder of photographs with masks, by its path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: GivenPath = Field(description="folder of a dataset, or of photographs with masks")
    layout: str | None = Field(None, description="layout of a folder, as in ECSSD; absent for a dataset")
    version: str | None = Field(
        None,
        description="version of the dataset, the latest when absent; for a folder, the digest of its pairs' names, "
        "not checked when absent",
    )

    def open(self) -> Dataset | Benchmark:
        """UserError if nothing can be opened there, a folder has boxes instead of masks, or its files have changed."""
        if self.layout is None:
            return open_dataset(self.path, self.version)
        pairs = open_folder(self.layout, self.path)
        if pairs.has_boxes:
            raise UserError(f"{self.layout}={self.path}: expected photographs with masks, this set has boxes")
        if self.version not in (None, pairs.digest()):
            raise UserError(
                f"{self.layout}={self.path}: expected the files of version {self.version}, found those of version "
                f"{pairs.digest()}; restore the files that were added, removed or renamed"
            )
        return pairs

    def check(self) -> None:
        """UserError if some pair cannot be read. Writes nothing."""
        if self.layout is not None and self.version is not None:
            raise UserError(
                f"--version {self.version}: {self.layout}={self.path} is a folder without versions; leave it out"
            )
        data = self.open()
        if isinstance(data, Benchmark):
            data.check_sizes()
        elif not data.kept().size:
            raise UserError(f"{self.path}: has no kept sample in {data.version}; its report gives the reasons")

    def notes(self) -> Notes:
        """What was left out, dropped, resized or chosen of a folder's files; empty for a dataset."""
        data = self.open()
        return data.notes if isinstance(data, Benchmark) else Notes()

    def resolved(self, data: Dataset | Benchmark) -> "Source":
        """The same source with an absolute path and the version of `data`, which `open` returned."""
        version = data.version if isinstance(data, Dataset) else data.digest()
        return self.model_copy(update={"path": self.path.resolve(), "version": version})

    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of all images in pixels; None for a folder, whose photographs differ in size."""
        return open_dataset(self.path, self.version).image_size if self.layout is None else None

    def edition(self) -> str:
        """A resolved source's version as shown to users, with the layout of a folder: 'v3', 'DUTS-TR:1a2b3c4d'."""
        assert self.version is not None, "resolved"
        return self.version if self.layout is None else f"{self.layout}:{self.version}"

    def identity(self) -> dict[str, str]:
        """Identifies a resolved source in runs, features and scores; its form never changes, so older ones match."""
        return {"data": str(self.path), "version": self.edition()}

    def content(self) -> str:
        """Digest of what a resolved source holds, wherever it lies: its form never changes.

        Of a dataset, the columns of its table that say what the samples are; of a folder, the digest of its names.
        """
        assert self.version is not None, "resolved"
        if self.layout is not None:
            return self.version
        table = open_dataset(self.path, self.version).frame()[list(CONTENT)]
        return digests.of(table.to_csv(float_format="%.6g").encode())

    def label(self) -> str:
        """Its name in tables: 'DUTS-TR', 'shapes v3'."""
        data, name = self.open(), encodable(self.path.resolve().name)
        if isinstance(data, Dataset):
            return f"{name} {data.version}"
        return name if self.layout in (None, "folder") else str(self.layout)


def usable(data: Dataset | Benchmark) -> NDArray[np.intp]:
    """Indices of a dataset's kept samples, or of all pairs of a folder, (n,), ascending."""
    return data.kept() if isinstance(data, Dataset) else np.arange(len(data))
