"""The masks of a folder of PNGs that were changed in any editor: an export in the format `folders`, or a part of it.

Knows no dataset. The export's maskmill.json says which version the masks are of.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import UserError
from storage.exports.folder import FACTS
from storage.mending.marks import Mark, Mended, check_size, index_of
from storage.photos.pictures import read_mask

SYSTEM = ("Thumbs.db", "desktop.ini")  # left by file managers, as are hidden files


def read_folders(path: Path, size: tuple[int, int]) -> Iterator[Mended]:
    """Each mask of the export at `path`, or of the single folder of masks there; samples without a file are left out.

    size: (H, W) of the images. UserError for a file that is no mask of a sample, and for another size.
    """
    if not path.is_dir():
        raise UserError(f"{path}: expected a folder of masks, as maskmill export --format folders writes it")
    facts = _facts_above(path)
    mark = Mark(facts["version"], facts["snapshot"]) if facts else None
    whole = (path / FACTS).is_file()
    files = [file for file in path.glob("*/masks/*" if whole else "*") if not _is_of_the_system(file)]
    if not files:
        raise UserError(f"{path}: holds no mask; give the export or one of its folders named masks")
    for file in sorted(files):
        index, _ = index_of(file.name)
        mask = read_mask(file)
        try:
            check_size(mask.shape, size)
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        yield Mended(str(file), index, mark, mask)


def _is_of_the_system(file: Path) -> bool:
    return file.name.startswith(".") or file.name in SYSTEM


def _facts_above(path: Path) -> dict[str, Any] | None:
    """The facts of the export that the folder is or lies in; None if there is none."""
    for folder in (path, *path.absolute().parents[:3]):
        if (folder / FACTS).is_file():
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            return facts
    return None
