"""Whether something may be written at a path. Knows nothing of what is written, and writes nothing."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from models.errors import UserError

REPOSITORY = "repo"  # of a dataset, below its folder


def check_place(
    path: Path,
    kind: str,
    *,
    option: str = "--out",
    is_ours: Callable[[Path], bool] | None = None,
    is_leftover: Callable[[str], bool] = lambda name: False,
    outside: Iterable[Path] = (),
) -> None:
    """UserError where `path` cannot be the folder of what is to be written, new or begun before.

    kind: what that is, as in 'evaluation'; option: that the path was given by, '' for none. is_ours: by what a folder
    with something in it is known to be of that kind; None where it may hold anything. is_leftover: names of entries
    that do not count, as a kill may leave them. outside: datasets in whose repositories it may not lie.
    """
    said = f"{option} {path}".strip()
    if path.is_symlink() and not path.exists():
        raise UserError(f"{said}: is a link to nowhere; choose another path")
    if path.exists() and not path.is_dir():
        raise UserError(f"{said}: expected a folder for the {kind}, found a file; choose another path")
    check_writable(path, said)
    for dataset in outside:
        check_outside(path, dataset)
    if is_ours is None or not path.exists() or is_ours(path):
        return
    if others := sorted(entry.name for entry in path.iterdir() if not is_leftover(entry.name)):
        raise UserError(f"{said}: is not empty ({others[0]}) and holds no {kind}; choose an empty or a new folder")


def check_writable(path: Path, said: str = "") -> None:
    """UserError where no file could be put into the folder `path`, made if there is none. said: the path as given."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise UserError(f"{said or path}: {nearest} is not a folder that can be written to; choose another path")


def check_outside(out: Path, dataset: Path) -> None:
    """UserError where what is made of a dataset would lie in its own repository."""
    if out.resolve().is_relative_to((dataset / REPOSITORY).resolve()):
        raise UserError(f"--out {out}: lies in the dataset's repository; choose another")
