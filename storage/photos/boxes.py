"""The boxes of VOC07, VOC12 and COCO20K, as LOST and TokenCut read them. Knows nothing of pixels or predictions.

Boxes are (N, 4) int: x0, y0, x1, y1 with exclusive ends. VOC's difficult and truncated objects are kept, COCO's crowds
are not. An image without boxes is still part of the set.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from models.errors import UserError


def voc_boxes(path: Path, year: int) -> dict[Path, np.ndarray]:
    """Photo -> its boxes, in the order of ImageSets/Main/trainval.txt.

    path: VOC<year> itself, or a folder that contains VOC<year> or VOCdevkit/VOC<year>. VOC counts pixels from 1 and
    includes the last, so 1 is subtracted from x0 and y0 only. UserError if files are missing or cannot be read.
    """
    places = (path, path / f"VOC{year}", path / "VOCdevkit" / f"VOC{year}")
    home = next((place for place in places if (place / "Annotations").is_dir()), None)
    if home is None:
        raise UserError(f"{path}: expected VOC{year} with Annotations in it; see docs/benchmark-folders.md")
    names = listed(home / "ImageSets" / "Main" / "trainval.txt")
    _all_present(home, [file for n in names for file in (f"JPEGImages/{n}.jpg", f"Annotations/{n}.xml")])
    return {home / "JPEGImages" / f"{n}.jpg": _voc_boxes(home / "Annotations" / f"{n}.xml") for n in names}


def _voc_boxes(path: Path) -> np.ndarray:
    """The boxes of one annotation file."""
    try:
        boxes = ElementTree.parse(path).getroot().findall("object/bndbox")
        corners = [[float(box.findtext(k, "")) for k in ("xmin", "ymin", "xmax", "ymax")] for box in boxes]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path}: expected a VOC annotation, got an unreadable file ({error})") from error
    return _array(corners) - (1, 1, 0, 0)


def coco_boxes(path: Path) -> dict[Path, np.ndarray]:
    """Photo -> its boxes, in the order of coco_20k_filenames.txt, a list of files in train2014.

    path: a folder that contains this list, annotations/instances_train2014.json, and train2014 or images/train2014.
    Corners are rounded to whole pixels. UserError if files are missing or cannot be read.
    """
    photos = next((p for p in (path / "train2014", path / "images/train2014") if p.is_dir()), None)
    if photos is None:
        raise UserError(f"{path}: expected the folder train2014 or images/train2014; see docs/benchmark-folders.md")
    names = [Path(line).name for line in listed(path / "coco_20k_filenames.txt")]
    _all_present(photos, names)
    boxes = _coco_boxes(path / "annotations" / "instances_train2014.json")
    if unknown := [name for name in names if name not in boxes]:
        raise UserError(f"{path / 'annotations'}: expected every listed photo, found no {some(unknown)}")
    return {photos / name: boxes[name] for name in names}


def _coco_boxes(path: Path) -> dict[str, np.ndarray]:
    """File name -> boxes of a COCO annotation file. Outlines, most of the file, are dropped during parsing."""

    def without_outline(entry: dict[str, Any]) -> dict[str, Any]:
        entry.pop("segmentation", None)
        return entry

    try:
        annotations = json.loads(path.read_bytes(), object_hook=without_outline)
        corners: dict[int, list[list[float]]] = {image["id"]: [] for image in annotations["images"]}
        for entry in annotations["annotations"]:
            if not entry["iscrowd"]:
                x, y, width, height = entry["bbox"]
                corners[entry["image_id"]].append([x, y, x + width, y + height])
        return {image["file_name"]: _array(corners[image["id"]]) for image in annotations["images"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: expected COCO annotations, got an unreadable file ({error!r})") from error


def listed(path: Path) -> list[str]:
    """The lines of a list file that are not blank; UserError if the file is missing, empty or not text."""
    if not path.is_file():
        raise UserError(f"{path}: expected the set's list of files, which does not exist; it comes with the set")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected the set's list of files, got a file not in UTF-8; fetch it again") from None
    if not lines:
        raise UserError(f"{path}: expected the set's list of files, found an empty file; fetch it again")
    return lines


def some(names: Iterable[str], shown: int = 5) -> str:
    """The first `shown` names in order, and the number of the others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - shown} more" if len(ordered) > shown else ""
    return ", ".join(ordered[:shown]) + more


def _all_present(folder: Path, files: list[str]) -> None:
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise UserError(f"{folder}: expected every listed file, found no {some(missing)}; complete the set")


def _array(corners: list[list[float]]) -> np.ndarray:
    """Boxes rounded to int, (N, 4) also for N = 0."""
    return np.rint(np.array(corners).reshape(-1, 4)).astype(np.int64)
