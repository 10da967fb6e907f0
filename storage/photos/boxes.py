"""The boxes of VOC07, VOC12 and COCO20K, as LOST and TokenCut read them. Knows nothing of pixels or predictions.

Boxes are (N, 4) int: x0, y0, x1, y1 with exclusive ends. VOC's difficult and truncated objects are kept, COCO's crowds
are not. An image without boxes is still part of the set.
"""

import codecs
import json
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from models.errors import UserError
from storage.photos.names import partners


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
    wanted = [file for n in names for file in (f"JPEGImages/{n}.jpg", f"Annotations/{n}.xml")]
    found = _all_present(home, wanted)
    return {found[f"JPEGImages/{n}.jpg"]: _voc_boxes(found[f"Annotations/{n}.xml"]) for n in names}


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
    names = [PureWindowsPath(line).name for line in listed(path / "coco_20k_filenames.txt")]  # / and \ separate
    found = _all_present(photos, names)
    boxes = _coco_boxes(path / "annotations" / "instances_train2014.json")
    annotated = partners(names, boxes)
    if unknown := [name for name in names if name not in annotated]:
        raise UserError(f"{path / 'annotations'}: expected every listed photo, found no {some(unknown)}")
    return {found[name]: boxes[annotated[name]] for name in names}


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
    """The lines of a list file that are not blank, in UTF-8, or UTF-16 if it begins with its byte order mark.

    Bytes that are not UTF-8 are read as Python reads them in file names. UserError if the file is missing, empty or not
    text.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected the set's list of files, which does not exist; it comes with the set")
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace" if wide else "surrogateescape")
    if "\0" in text:
        raise UserError(f"{path}: expected the set's list of files, got a file that is not text; fetch it again")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path}: expected the set's list of files, found an empty file; fetch it again")
    return lines


def some(names: Iterable[str], shown: int = 5) -> str:
    """The first `shown` names in order, and the number of the others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - shown} more" if len(ordered) > shown else ""
    return ", ".join(ordered[:shown]) + more


def _all_present(folder: Path, files: list[str]) -> dict[str, Path]:
    """Each listed file's path; UserError if some do not exist, in whatever form of Unicode."""
    found = {file: folder / file for file in files if (folder / file).is_file()}
    if absent := [file for file in files if file not in found]:
        folders = {(folder / file).parent for file in absent}
        below = [path.relative_to(folder).as_posix() for each in folders if each.is_dir() for path in each.iterdir()]
        found |= {file: folder / other for file, other in partners(absent, below).items()}
    if missing := [file for file in files if file not in found]:
        raise UserError(f"{folder}: expected every listed file, found no {some(missing)}; complete the set")
    return found


def _array(corners: list[list[float]]) -> np.ndarray:
    """Boxes rounded to int, (N, 4) also for N = 0."""
    return np.rint(np.array(corners).reshape(-1, 4)).astype(np.int64)
