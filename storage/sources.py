"""Where images and masks come from: a version of a dataset, or a folder of photographs with masks.

Knows nothing of what is done with them.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from models.errors import UserError
from storage.dataset.reader import Dataset, open_dataset
from storage.photos.folders import Benchmark, open_folder


class Source(BaseModel):
    """One of the two, by its path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="folder of a dataset, or of photographs with masks")
    layout: str | None = Field(None, description="how a folder's files lie, as in ECSSD; absent for a dataset")
    version: str | None = Field(None, description="version of the dataset; the latest when absent")

    def open(self) -> Dataset | Benchmark:
        """UserError where there is nothing of the kind, or a folder has boxes in place of masks."""
        if self.layout is None:
            return open_dataset(self.path, self.version)
        if self.version is not None:
            raise UserError(f"--version {self.version}: {self.layout}={self.path} is a folder and has none; leave it")
        pairs = open_folder(self.layout, self.path)
        if pairs.has_boxes:
            raise UserError(f"{self.layout}={self.path}: expected photographs with masks, this set has boxes")
        return pairs

    def check(self) -> None:
        """UserError for what would stop a reading of all pairs. Writes nothing."""
        data = self.open()
        if isinstance(data, Benchmark):
            data.check_sizes()
        elif not data.kept().size:
            raise UserError(f"{self.path}: has no kept sample in {data.version}; its report has the reasons")

    def label(self) -> str:
        """What tables call it: 'DUTS-TR', 'shapes v3'."""
        data, name = self.open(), self.path.resolve().name
        if isinstance(data, Dataset):
            return f"{name} {data.version}"
        return name if self.layout in (None, "folder") else str(self.layout)
