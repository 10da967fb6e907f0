"""What a format of export is, and what those that write a file a sample share. Knows no format.

A format of one's own is a file with a class like those here, and a line in models/config/formats.py.

Every path in an export is made of a sample's index and a split's name, never of a class or a prompt.
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
    """What is known of the samples written: a format's own rows, in order, and counts of what is worth telling."""

    rows: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Files:
    """Files of an export that are of one kind: their media type, and which they are, with * in their path."""

    name: str
    media_type: str
    pattern: str


class Format(ABC):
    """One format. `write` may be called for a block again, after a kill, and then writes the same over it."""

    title: ClassVar[str]
    loading: ClassVar[str]  # lines of Python that load from the folder ".", with SPLIT for a split's name
    losses: ClassVar[str]  # what the format does not keep, in a sentence or two
    files: ClassVar[tuple[Files, ...]]
    block: ClassVar[int] = 64  # samples written together, and done again after a kill

    def check(self, plan: Plan) -> None:  # noqa: B027 -- most formats take any dataset
        """UserError for a dataset that the format cannot hold."""

    @abstractmethod
    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        """Write a block's samples."""

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:  # noqa: B027
        """Write what tells of all samples; facts: of each split."""


def samples_of(dataset: Dataset, block: Block) -> Iterator[Sample]:
    """A block's samples, one in memory at a time."""
    return (dataset[index] for index in block.indices)


def name_of(index: int) -> str:
    """A sample's name in every format."""
    return f"{index:06d}"


def made(*folders: Path) -> Sequence[Path]:
    """The folders, made where they are not there."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def png(picture: np.ndarray) -> bytes:
    """A picture's file: (H, W, 3) uint8 as it is, (H, W) bool as 0 and 255."""
    values = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    return file_of(Image.fromarray(values), "PNG")


def file_of(image: Image.Image, kind: str, **options: int) -> bytes:
    """A picture as a file of Pillow's `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
