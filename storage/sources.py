"""Where images and masks come from: a version of a dataset, or a folder of photographs with masks.

Knows nothing of what is done with them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.errors import UserError
from storage.dataset.reader import Dataset, open_dataset
from storage.photos.folders import Benchmark, open_folder


class Source(BaseModel):
    """One of the two, by its path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="folder of a dataset, or of photographs with masks")
    layout: str | None = Field(None, description="how a folder's files lie, as in ECSSD; absent for a dataset")
    version: str | None = Field(
        None,
        description="version of the dataset, the latest when absent; of a folder the digest of its pairs' names, any "
        "when absent",
    )

    def open(self) -> Dataset | Benchmark:
        """UserError where there is nothing of the kind, a folder has boxes in place of masks, or other files by now."""
        if self.layout is None:
            return open_dataset(self.path, self.version)
        pairs = open_folder(self.layout, self.path)
        if pairs.has_boxes:
            raise UserError(f"{self.layout}={self.path}: expected photographs with masks, this set has boxes")
        if self.version not in (None, pairs.digest()):
            raise UserError(
                f"{self.layout}={self.path}: expected the files of version {self.version}, found others, of version "
                f"{pairs.digest()}; restore those that came, went or were renamed"
            )
        return pairs

    def check(self) -> None:
        """UserError for what would stop a reading of all pairs. Writes nothing."""
        if self.layout is not None and self.version is not None:
            raise UserError(f"--version {self.version}: {self.layout}={self.path} is a folder and has none; leave it")
        data = self.open()
        if isinstance(data, Benchmark):
            data.check_sizes()
        elif not data.kept().size:
            raise UserError(f"{self.path}: has no kept sample in {data.version}; its report has the reasons")

    def resolved(self, data: Dataset | Benchmark) -> "Source":
        """The same by its absolute path, its version told: that of `data`, as `open` gave it."""
        version = data.version if isinstance(data, Dataset) else data.digest()
        return self.model_copy(update={"path": self.path.resolve(), "version": version})

    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of all images in pixels; None of a folder, whose photographs have sizes of their own."""
        return open_dataset(self.path, self.version).image_size if self.layout is None else None

    def edition(self) -> str:
        """A resolved source's version for people, of a folder with its layout: 'v3', 'DUTS-TR:1a2b3c4d'."""
        assert self.version is not None, "resolved"
        return self.version if self.layout is None else f"{self.layout}:{self.version}"

    def identity(self) -> dict[str, str]:
        """What tells runs, features and scores on a resolved source from others; as it always was, for the older."""
        return {"data": str(self.path), "version": self.edition()}

    def label(self) -> str:
        """What tables call it: 'DUTS-TR', 'shapes v3'."""
        data, name = self.open(), self.path.resolve().name
        if isinstance(data, Dataset):
            return f"{name} {data.version}"
        return name if self.layout in (None, "folder") else str(self.layout)


def usable(data: Dataset | Benchmark) -> NDArray[np.intp]:
    """Indices of a dataset's kept samples, or of all pairs of a folder, ascending."""
    return data.kept() if isinstance(data, Dataset) else np.arange(len(data))
