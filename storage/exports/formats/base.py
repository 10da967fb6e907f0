"""The interface of an export format, and helpers for formats with one file per sample. Knows no format.

A new format is one file with a class like those in this folder, and a line in models/config/export.py.

Every path in an export consists of a sample's index and a split's name, never of a class or a prompt.
"""

import io
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from storage.dataset.reader import Dataset, Sample
from storage.exports.plan import Block, Plan


@dataclass
class Facts:
    """Facts about the written samples: rows for the format's `finish`, in order, and counts for the dataset card."""

    rows: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Files:
    """Files of one kind in an export: their media type, and a pattern of their paths with *.

    shows: "image" or "mask" where each file is that of one sample and is named after it.
    columns: of Parquet files, those that hold pictures as Hugging Face's Image does.
    """

    name: str
    media_type: str
    pattern: str
    shows: str = ""
    columns: tuple[str, ...] = ()


class Format(ABC):
    """One format. After a kill, `write` may be called again for a block, and overwrites it with the same files."""

    title: ClassVar[str]
    loading: ClassVar[str]  # lines of Python that load from the folder ".", with SPLIT for a split's name
    losses: ClassVar[str]  # the information that the format loses, in a sentence or two
    files: ClassVar[tuple[Files, ...]]
    block: ClassVar[int] = 64  # samples written together, and written again after a kill
    hub: ClassVar[str] = ""  # pattern of SPLIT's files for Hugging Face `load_dataset`, where it reads the format

    def check(self, plan: Plan) -> None:  # noqa: B027 -- most formats accept any dataset
        """UserError for a dataset that the format cannot hold."""

    @abstractmethod
    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        """Write a block's samples."""

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:  # noqa: B027
        """Write the files about all samples; facts: by split, whose counts it may add to."""

    def measured(self, facts: dict[str, Facts]) -> dict[str, float]:
        """How the format's readers see what was written, by what was measured; facts: by split."""
        return {}


def count_all(facts: dict[str, Facts], what: str, number: int) -> None:
    """Count, in `finish`, what concerns all splits; facts: by split, whose counts are summed for the card."""
    next(iter(facts.values())).counts[what] += number


def samples_of(dataset: Dataset, block: Block) -> Iterator[Sample]:
    """A block's samples, one in memory at a time."""
    return (dataset[index] for index in block.indices)


def name_of(index: int) -> str:
    """A sample's name in every format."""
    return f"{index:06d}"


def made(*folders: Path) -> Sequence[Path]:
    """The folders, created if they do not exist."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def png(picture: np.ndarray) -> bytes:
    """A picture as PNG: (H, W, 3) uint8 unchanged, (H, W) bool as 0 and 255."""
    values = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    return file_of(Image.fromarray(values), "PNG")


def file_of(image: Image.Image, kind: str, **options: int) -> bytes:
    """A picture encoded in a format by Pillow's name, with its options."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
