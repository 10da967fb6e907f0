"""Masks of photographs in a folder: three pictures a photo, named after its file, and the table of all, masks.csv.

A photo is done when the table says so under the same config and for the same bytes, and its pictures are there; any
other is made again. Knows nothing of how a mask is made.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TABLE = "masks.csv"
KINDS = ("mask", "overlay", "objectness")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".jp2"}


@dataclass(frozen=True)
class Row:
    """One photo's line in the table; numbers are empty where there are none.

    file: as it was given; category: '' without a prior; confidence: CLIP's, in [0, 1]; area: the mask's share of the
    photo; uncertainty in [0, 1]; reconstruction_db: PSNR of the reverse pass; error: why there is no mask, else '';
    made_from: digest of the config and of the file's bytes.
    """

    name: str
    file: str
    category: str = ""
    confidence: float | None = None
    area: float | None = None
    uncertainty: float | None = None
    reconstruction_db: float | None = None
    error: str = ""
    made_from: str = ""


def find_photos(given: Iterable[Path]) -> list[Path]:
    """The files among `given` and the pictures directly in its folders; ValueError where two share a name."""
    found: dict[Path, None] = {}
    for path in given:
        inside = (p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        found |= dict.fromkeys(inside)
    if not found:
        raise ValueError(f"photos: found no picture in {', '.join(map(str, given))}; name files or folders")
    named: dict[str, Path] = {}
    for photo in found:
        other = named.setdefault(photo.stem, photo)
        if other.resolve() != photo.resolve():
            raise ValueError(
                f"photos: {other} and {photo} would both become {photo.stem}-mask.png; "
                "rename one, or run them one after the other with another --out"
            )
    return list(named.values())


def check_folder(out: Path, photos: list[Path]) -> None:
    """ValueError where masks cannot be written to `out`: a file, a folder of the photos, a table that is not ours."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: expected a folder for the masks, found a file; choose another path")
    if any(photo.parent.resolve() == out.resolve() for photo in photos):
        raise ValueError(f"--out {out}: is a folder of the photos, which masks would be taken for; choose another")
    read_table(out)


def read_table(out: Path) -> dict[str, Row]:
    """The table's rows by name; empty where there is no table."""
    path = out / TABLE
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        columns = [field.name for field in fields(Row)]
        if lines.fieldnames != columns:
            raise ValueError(f"{path}: is no table of masks, whose columns are {', '.join(columns)}; move it away")
        return {line["name"]: _row(line) for line in lines}


def add_rows(out: Path, rows: Iterable[Row]) -> None:
    """Put rows into the table, in place of those of the same name; a kill leaves the table before or after."""
    table = read_table(out) | {row.name: row for row in rows}
    partial = out / f"{TABLE}.partial"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in table.values())
    os.replace(partial, out / TABLE)


def digest(photo: Path, identity: dict[str, Any]) -> str:
    """What a mask is made from: the photo's bytes and the config's identity; OSError where the file cannot be read."""
    return hashlib.sha256(photo.read_bytes() + json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def pending(out: Path, photos: list[Path], identity: dict[str, Any]) -> list[Path]:
    """The photos that are not done."""
    table = read_table(out)

    def done(photo: Path) -> bool:
        row = table.get(photo.stem)
        if row is None or row.error or not photo.is_file():
            return False
        return row.made_from == digest(photo, identity) and all(path_of(out, photo.stem, k).exists() for k in KINDS)

    return [photo for photo in photos if not done(photo)]


def path_of(out: Path, name: str, kind: str) -> Path:
    """Where a photo's picture of a kind lies."""
    return out / f"{name}-{kind}.png"


def write_pictures(out: Path, name: str, mask: np.ndarray, overlay: np.ndarray, objectness: np.ndarray) -> None:
    """mask: (H, W) bool, written as 0 and 255; overlay: (H', W', 3) uint8; objectness: (H, W) uint8."""
    for kind, picture in zip(KINDS, (mask.astype(np.uint8) * 255, overlay, objectness), strict=True):
        Image.fromarray(picture).save(path_of(out, name, kind))


def _row(line: dict[str, str]) -> Row:
    numbers = ("confidence", "area", "uncertainty", "reconstruction_db")
    return Row(**{name: (float(v) if v else None) if name in numbers else v for name, v in line.items()})  # type: ignore[arg-type]
