"""Which sample of which version a picture's name stands for, after its way through another tool. Knows no tool.

A mark is a version and the beginning of its snapshot's id, which differs between datasets: `v2-1CECHNKR`.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from models.errors import UserError

SNAPSHOT = 8  # characters of a snapshot's id in a mark
REJECT = "reject"  # the label or choice by which a person rejects a sample


@dataclass(frozen=True)
class Mark:
    """The version that masks were exported from, and its snapshot, complete or the beginning; '' if not known."""

    version: str
    snapshot: str = ""

    def __str__(self) -> str:
        return f"{self.version}-{self.snapshot[:SNAPSHOT]}"


@dataclass(frozen=True, eq=False)
class Mended:
    """What a file says of one sample.

    place: the picture, for messages; mark: None if the file does not say; mask: (H, W) bool; labels: the names of its
    parts' classes; rejected: whether the person rejects the sample.
    """

    place: str
    index: int
    mark: Mark | None
    mask: np.ndarray
    labels: frozenset[str] = frozenset()
    rejected: bool = False


def marked_name(index: int, mark: Mark) -> str:
    """The name of a sample's picture, without a suffix, in formats whose tools keep nothing but the name."""
    return f"{index:06d}-{mark}"


def index_of(name: str) -> tuple[int, Mark | None]:
    """A sample's index and mark from the path of its picture; UserError if the name is not one that we gave."""
    stem = PurePosixPath(name.replace("\\", "/")).stem
    found = re.fullmatch(r"(\d{6,18})(?:-(v\d+)-([0-9A-Z]+))?", stem)
    if found is None:
        raise UserError(
            f"{name}: is not the name of a sample; expected one as 000012.png; keep the names of the export"
        )
    return int(found[1]), Mark(found[2], found[3]) if found[2] else None


def file_at(path: Path, name: str) -> Path:
    """The file that is given, or the one of that name in the folder that is given; UserError if there is none."""
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{path}: has no {name} in it; give the file, or the folder of the export")
    return file


def check_size(found: tuple[int, ...], size: tuple[int, int]) -> None:
    """UserError if a picture's size is not that of the dataset's images, (H, W)."""
    if found != size:
        raise UserError(
            f"is of {found[1]} x {found[0]} pixels, the images of {size[1]} x {size[0]}; do not resize or crop"
        )
