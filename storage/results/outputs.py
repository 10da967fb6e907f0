"""A folder of results of photographs: pictures named after each photo's file, and a table with one row per photo.

A name that is not UTF-8 is escaped, and one too long for the file system is shortened.

A photo is done if the table has its digest, of the photo's bytes and the identity of the method, and its pictures
exist; any other photo is processed again. Knows nothing of how results are computed.
"""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from models import digests
from models.errors import UserError, encodable
from storage.atomic import partial_of, replacing
from storage.photos.listing import NAME_TAKEN, pictures_in
from storage.photos.names import MAX_NAME, bare, shortened
from storage.photos.notes import Notes
from storage.photos.pictures import PHOTO_SUFFIXES
from storage.places import check_place


@dataclass(frozen=True)
class Row:
    """One photo's row. file: as given by the user; error: why there is no result, else ''; made_from: `digest`.

    Subclasses add columns: text, integers, or floats, which are empty for None.
    """

    name: str
    file: str
    error: str = ""
    made_from: str = ""


@dataclass(frozen=True)
class OutputFolder:
    """The folder `path`. Subclasses define the table's name, the kinds of pictures, and the type of a row."""

    path: Path
    table: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    row: ClassVar[type[Row]]

    def check(self, photos: list[Path]) -> None:
        """UserError if the path is a file, a folder of the photos, or has a table with other columns."""
        check_place(self.path, "pictures")
        if any(photo.parent.resolve() == self.path.resolve() for photo in photos):
            raise UserError(
                f"--out {self.path}: is a folder of the photos, where masks would count as photos; choose another"
            )
        self.read()

    def read(self) -> dict[str, Any]:
        """The table's rows by name; empty if there is no table."""
        path = self.path / self.table
        if not path.exists():
            return {}
        columns = [field.name for field in fields(self.row)]
        try:
            with path.open(newline="", encoding="utf-8") as file:
                lines = csv.DictReader(file)
                if set(lines.fieldnames or ()) != set(columns):
                    raise UserError("it has other columns")
                return {line["name"]: self._row(line) for line in lines}
        except (ValueError, TypeError, csv.Error) as error:
            raise UserError(
                f"{path}: expected a table with the columns {', '.join(columns)} ({error}); move it away"
            ) from None

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows to the table, replacing those of the same name; a kill leaves the old table or the new one."""
        table = self.read() | {row.name: row for row in rows}
        with (
            replacing(self.path / self.table) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, [field.name for field in fields(self.row)])
            writer.writeheader()
            writer.writerows(_encodable(asdict(row)) for row in table.values())

    def pending(self, photos: list[Path], identity: dict[str, Any]) -> list[Path]:
        """The photos that are not done."""
        table = self.read()

        def done(photo: Path) -> bool:
            name = self.name_of(photo)
            row = table.get(name)
            if row is None or row.error or not all(self.picture(name, kind).exists() for kind in self.kinds):
                return False
            try:
                return row.made_from == digest(photo, identity)
            except OSError:
                return False  # missing or unreadable: the task that processes the photo reports it

        return [photo for photo in photos if not done(photo)]

    def name_of(self, photo: Path) -> str:
        """A photo's name in the table and of its pictures: its file's name without suffix."""
        longest = max(len(partial_of(self.picture("", kind)).name) for kind in self.kinds)
        return shortened(bare(photo), MAX_NAME - longest)

    def picture(self, name: str, kind: str) -> Path:
        """The file of a photo's picture of one kind."""
        return self.path / f"{name}-{kind}.png"

    def write_pictures(self, name: str, *pictures: np.ndarray) -> None:
        """Write one uint8 picture, (H, W) or (H, W, 3), per kind; a kill leaves no partial file."""
        for kind, picture in zip(self.kinds, pictures, strict=True):
            with replacing(self.picture(name, kind)) as partial:
                Image.fromarray(picture).save(partial, format="png")

    def _row(self, line: dict[str, str]) -> Row:
        types = {field.name: field.type for field in fields(self.row)}
        return self.row(**{name: _value(types[name], text) for name, text in line.items()})


def _encodable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: encodable(value) if isinstance(value, str) else value for name, value in values.items()}


def _value(column_type: Any, text: str) -> Any:
    """A cell as its column's type: str, int, or float or None."""
    return column_type(text) if column_type in (str, int) else float(text) if text else None


def find_photos(given: Iterable[Path], left_out: Notes | None = None) -> list[Path]:
    """The files among `given`, and the pictures directly in its folders.

    left_out: gains the files in the folders that are not taken, with the reasons. UserError if there are no photos, or
    two have the same name without suffix.
    """
    left_out = Notes() if left_out is None else left_out
    photos = _found(given, left_out)
    if not photos:
        found = f" ({left_out.line()})" if left_out else ""
        raise UserError(
            f"photos: found no picture ({', '.join(PHOTO_SUFFIXES)}) directly in {', '.join(map(str, given))}{found}; "
            "name files, or the folders that hold them"
        )
    by_name: dict[str, Path] = {}
    for photo in photos:
        name = encodable(bare(photo))
        other = by_name.setdefault(name, photo)
        if other.resolve() != photo.resolve():
            raise UserError(
                f"photos: {other} and {photo} would both become {name}-mask.png; "
                "rename one, or run them one after the other with another --out"
            )
    return list(by_name.values())


def _found(given: Iterable[Path], left_out: Notes) -> list[Path]:
    """The photos, those found by content last and only if no other has their name."""
    by_suffix: dict[Path, None] = {}
    by_content: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            usual, found, others = pictures_in(path)
            by_suffix |= dict.fromkeys(usual)
            by_content |= dict.fromkeys(found)
            left_out.update(others)
        else:
            by_suffix[path] = None
    taken = {encodable(bare(path)) for path in by_suffix}
    for path in by_content.keys() - by_suffix.keys():
        if encodable(bare(path)) in taken:
            left_out.add(NAME_TAKEN, path)
    return [*by_suffix, *(path for path in by_content if encodable(bare(path)) not in taken)]


def digest(photo: Path, identity: dict[str, Any]) -> str:
    """Digest of the photo's bytes and the identity (JSON values) of the method; OSError if the file is unreadable."""
    return digests.of(photo.read_bytes(), identity)
