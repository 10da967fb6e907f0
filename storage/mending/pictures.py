"""The masks of PNGs that were changed in any editor: an export in the format `folders` or `semantic`, or a part of it.

Knows no dataset. The export's maskmill.json says which version the masks are of, and names its classes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.errors import UserError
from storage.exports.folder import FACTS
from storage.mending.marks import Mark, Mended, check_size, index_of
from storage.photos.names import is_system
from storage.photos.pictures import read_mask

VOID = 255  # a label map's pixels that are not judged


def read_folders(path: Path, size: tuple[int, int]) -> Iterator[Mended]:
    """Each mask of the export at `path`, or of the single folder of masks there; samples without a file are left out.

    size: (H, W) of the images. UserError for a file that is no mask of a sample, and for another size.
    """
    facts = _facts_above(path, "folders")
    for file in _files(path, "*/masks/*"):
        yield _mended(file, facts, read_mask(file), size)


def read_semantic(path: Path, size: tuple[int, int]) -> Iterator[Mended]:
    """The same for label maps, with the class of each; UserError also for pixels that have no class of the export."""
    facts = _facts_above(path, "semantic")
    if facts is None:
        raise UserError(f"{path}: lies in no export, whose {FACTS} names the classes; give the export itself")
    names = dict(enumerate(facts["classes"], start=1))
    for file in _files(path, "masks/*/*"):
        labels = _labels(file)
        values = set(np.unique(labels).tolist()) - {0}
        if strange := sorted(values - names.keys()):
            what = "pixels that are not judged" if strange[-1] == VOID else "no class of the export"
            raise UserError(f"{file}: has the label {strange[-1]}, {what}; expected 0 and the sample's class")
        yield _mended(file, facts, labels > 0, size, frozenset(names[value] for value in values))


def _labels(file: Path) -> np.ndarray:
    """A label map, (H, W) uint8; UserError if it is a picture of colours."""
    try:
        with Image.open(file) as image:
            if image.mode not in ("L", "P"):
                raise UserError(f"{file}: expected a greyscale label map, found {image.mode}; save it as 8-bit grey")
            return np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise UserError(f"{file}: cannot be read ({error}); save it again") from None


def _mended(
    file: Path,
    facts: dict[str, Any] | None,
    mask: np.ndarray,
    size: tuple[int, int],
    labels: frozenset[str] = frozenset(),
) -> Mended:
    try:
        check_size(mask.shape, size)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    mark = Mark(facts["version"], facts["snapshot"]) if facts else None
    return Mended(str(file), index_of(file.name)[0], mark, mask, labels)


def _files(path: Path, pattern: str) -> list[Path]:
    """The masks of an export, by the pattern of their paths, or of a folder of masks."""
    pattern = pattern if (path / FACTS).is_file() else "*"
    files = [file for file in path.glob(pattern) if not is_system(file.relative_to(path))]
    if not files:
        raise UserError(f"{path}: holds no mask of this format; give the export or one of its folders of masks")
    for file in files:
        index_of(file.name)  # before any is read: a folder of something else is named by its first file
    return sorted(files)


def _facts_above(path: Path, form: str) -> dict[str, Any] | None:
    """The facts of the export that the folder is or lies in, None if there is none.

    UserError if it is of another format, or the path is no folder of masks.
    """
    if not path.is_dir():
        raise UserError(f"{path}: expected a folder of masks, as maskmill export writes it")
    for folder in (path, *path.absolute().parents[:3]):
        if (folder / FACTS).is_file():
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            if facts["format"] != form:
                raise UserError(f"{path}: is of an export in the format {facts['format']}, not {form}; change --format")
            if folder != path and "masks" not in path.absolute().relative_to(folder).parts:
                raise UserError(f"{path}: is not a folder of masks of the export; give the export itself")
            return facts
    return None
