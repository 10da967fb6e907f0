"""A folder of what is made of photographs: pictures named after each photo's file, and a table with a row for each.

A photo is done when the table says so for the same bytes and the same identity of what made it, and its pictures are
there; any other is made again. Knows nothing of how anything is made.
"""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from models import digests
from models.errors import UserError
from storage.atomic import replacing
from storage.photos.pictures import PHOTO_SUFFIXES
from storage.places import check_place


@dataclass(frozen=True)
class Row:
    """One photo's line: its file as it was given; why nothing was made of it, else ''; digest of what it is made from.

    Tables add columns of their own: text, whole numbers, or numbers that are empty where there are none.
    """

    name: str
    file: str
    error: str = ""
    made_from: str = ""


@dataclass(frozen=True)
class OutputFolder:
    """The folder `path`; each kind of it has a table, kinds of pictures, and a Row of its own."""

    path: Path
    table: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    row: ClassVar[type[Row]]

    def check(self, photos: list[Path]) -> None:
        """UserError where nothing can be written: a file, a folder of the photos, a table that is not ours."""
        check_place(self.path, "pictures")
        if any(photo.parent.resolve() == self.path.resolve() for photo in photos):
            raise UserError(
                f"--out {self.path}: is a folder of the photos, which masks would be taken for; choose another"
            )
        self.read()

    def read(self) -> dict[str, Any]:
        """The table's rows by name; empty where there is no table."""
        path = self.path / self.table
        if not path.exists():
            return {}
        columns = [field.name for field in fields(self.row)]
        try:
            with path.open(newline="", encoding="utf-8") as file:
                lines = csv.DictReader(file)
                if set(lines.fieldnames or ()) != set(columns):
                    raise UserError("other columns")
                return {line["name"]: self._row(line) for line in lines}
        except (ValueError, TypeError, csv.Error) as error:
            raise UserError(
                f"{path}: expected a table of the columns {', '.join(columns)} ({error}); move it away"
            ) from None

    def add(self, rows: Iterable[Row]) -> None:
        """Put rows into the table, in place of those of the same name; a kill leaves the table before or after."""
        table = self.read() | {row.name: row for row in rows}
        with (
            replacing(self.path / self.table) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, [field.name for field in fields(self.row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in table.values())

    def pending(self, photos: list[Path], identity: dict[str, Any]) -> list[Path]:
        """The photos that are not done."""
        table = self.read()

        def done(photo: Path) -> bool:
            row = table.get(photo.stem)
            if row is None or row.error or not all(self.picture(photo.stem, kind).exists() for kind in self.kinds):
                return False
            try:
                return row.made_from == digest(photo, identity)
            except OSError:
                return False  # gone, or not to be read: who does the photo says so

        return [photo for photo in photos if not done(photo)]

    def picture(self, name: str, kind: str) -> Path:
        """Where a photo's picture of a kind lies."""
        return self.path / f"{name}-{kind}.png"

    def write_pictures(self, name: str, *pictures: np.ndarray) -> None:
        """One uint8 picture, (H, W) or (H, W, 3), of each kind; a kill leaves none half written."""
        for kind, picture in zip(self.kinds, pictures, strict=True):
            with replacing(self.picture(name, kind)) as partial:
                Image.fromarray(picture).save(partial, format="png")

    def _row(self, line: dict[str, str]) -> Row:
        kinds = {field.name: field.type for field in fields(self.row)}
        return self.row(**{name: _value(kinds[name], text) for name, text in line.items()})


def _value(kind: Any, text: str) -> Any:
    """A cell as its column's kind: text, a whole number, or a number or None."""
    return kind(text) if kind in (str, int) else float(text) if text else None


def find_photos(given: Iterable[Path]) -> list[Path]:
    """The files among `given`, and the pictures directly in its folders but the hidden ones; no two of one name."""
    found: dict[Path, None] = {}
    for path in given:
        found |= dict.fromkeys(_pictures_in(path) if path.is_dir() else [path])
    if not found:
        raise UserError(
            f"photos: found no picture ({', '.join(PHOTO_SUFFIXES)}) directly in {', '.join(map(str, given))}; "
            "name files, or the folders that hold them"
        )
    named: dict[str, Path] = {}
    for photo in found:
        other = named.setdefault(photo.stem, photo)
        if other.resolve() != photo.resolve():
            raise UserError(
                f"photos: {other} and {photo} would both become {photo.stem}-mask.png; "
                "rename one, or run them one after the other with another --out"
            )
    return list(named.values())


def _pictures_in(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    return [path for path in files if not path.name.startswith(".")]


def digest(photo: Path, identity: dict[str, Any]) -> str:
    """What is made is made from: the photo's bytes and an identity of JSON values; OSError for an unreadable file."""
    return digests.of(photo.read_bytes(), identity)
