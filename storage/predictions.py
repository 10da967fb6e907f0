"""Predicted masks of photographs in a folder: two pictures a photo, and predictions.csv with the box of each.

A photo is done when the table says so for the same bytes and the same weights; any other is predicted again. Knows
nothing of segmenters.
"""

import csv
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from storage.masks import digest

TABLE = "predictions.csv"
KINDS = ("mask", "soft")


@dataclass(frozen=True)
class Row:
    """One photo's line in the table; a box x0, y0, x1, y1 in pixels, ends exclusive, all 0 where the mask is empty.

    file: as it was given; area: the mask's share of the photo; error: why there is no mask, else ''; made_from: digest
    of the weights' facts and of the file's bytes.
    """

    name: str
    file: str
    x0: int = 0
    y0: int = 0
    x1: int = 0
    y1: int = 0
    area: float = 0.0
    error: str = ""
    made_from: str = ""


def check_predictions(out: Path, photos: list[Path]) -> None:
    """ValueError where predictions cannot be written to `out`: a file, a folder of the photos, a table not ours."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: expected a folder for the masks, found a file; choose another path")
    if any(photo.parent.resolve() == out.resolve() for photo in photos):
        raise ValueError(
            f"--out {out}: is a folder of the photos; choose another, so that masks are no photos next time"
        )
    read_predictions(out)


def read_predictions(out: Path) -> dict[str, Row]:
    """The table's rows by name; empty where there is no table."""
    path = out / TABLE
    if not path.exists():
        return {}
    kinds: dict[str, Any] = {"area": float} | dict.fromkeys(("x0", "y0", "x1", "y1"), int)
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        columns = [field.name for field in fields(Row)]
        if lines.fieldnames != columns:
            raise ValueError(f"{path}: expected the columns {', '.join(columns)}; it is no table of ours, move it away")
        return {line["name"]: Row(**{k: kinds.get(k, str)(v) for k, v in line.items()}) for line in lines}


def add_predictions(out: Path, rows: Iterable[Row]) -> None:
    """Put rows into the table, in place of those of the same name; a kill leaves the table before or after."""
    table = read_predictions(out) | {row.name: row for row in rows}
    partial = out / f"{TABLE}.partial"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in table.values())
    os.replace(partial, out / TABLE)


def pending_predictions(out: Path, photos: list[Path], made_by: dict[str, Any]) -> list[Path]:
    """The photos that are not done by the weights of which `made_by` holds the facts."""
    table = read_predictions(out)

    def done(photo: Path) -> bool:
        row = table.get(photo.stem)
        if row is None or row.error or not photo.is_file():
            return False
        return row.made_from == digest(photo, made_by) and all(path_of(out, photo.stem, k).exists() for k in KINDS)

    return [photo for photo in photos if not done(photo)]


def write_prediction(out: Path, name: str, soft: np.ndarray) -> None:
    """soft: (H, W) float32 in [0, 1] -> NAME-soft.png, of 256 levels, and NAME-mask.png, 255 where it is above 0.5."""
    pictures = ((soft > 0.5).astype(np.uint8) * 255, np.rint(soft * 255).astype(np.uint8))
    for kind, picture in zip(KINDS, pictures, strict=True):
        Image.fromarray(picture).save(path_of(out, name, kind))


def path_of(out: Path, name: str, kind: str) -> Path:
    """Where a photo's picture of a kind lies."""
    return out / f"{name}-{kind}.png"
