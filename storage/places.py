"""Whether something may be written at a path. Knows nothing of what is written."""

import os
from pathlib import Path

from models.errors import UserError
from storage.dataset.repository import (
    repository_folder,
)


def check_writable(path: Path) -> None:
    """UserError where no file could be put into the folder `path`, made where there is none. Writes nothing."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise UserError(f"{path}: {nearest} is no folder that can be written to; choose another path")


def check_outside(out: Path, dataset: Path) -> None:
    """UserError where what is made of a dataset would lie in its own repository."""
    if out.resolve().is_relative_to(repository_folder(dataset).resolve()):
        raise UserError(f"--out {out}: lies in the dataset's repository; choose another")
