"""Checks whether an output may be written at a path. Knows nothing of what is written, and writes nothing."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import UserError, encodable

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
    """UserError if `path` cannot be the output folder, whether new or written to before.

    kind: name of the output, as in 'evaluation'. option: the option that gave the path, '' if none. is_ours: whether a
    folder that is not empty holds an output of that kind; None if the folder may hold anything. is_leftover: whether
    an entry of that name can be left by a killed process, and is ignored. outside: datasets whose repositories must
    not contain the path.
    """
    said = f"{option} {path}".strip()
    if encodable(str(path)) != str(path):
        raise UserError(f"{said}: expected a path in UTF-8; choose another path")
    with _as_path(said):
        _check_kind(path, said, kind)
    check_writable(path, said)
    for dataset in outside:
        check_outside(path, dataset)
    if is_ours is None or not path.exists() or is_ours(path):
        return
    if others := sorted(entry.name for entry in path.iterdir() if not is_leftover(entry.name)):
        raise UserError(f"{said}: is not empty ({others[0]}) and holds no {kind}; choose an empty or a new folder")


def _check_kind(path: Path, said: str, kind: str) -> None:
    if path.is_symlink() and not path.exists():
        raise UserError(f"{said}: expected a folder, found a broken link; choose another path")
    if path.exists() and not path.is_dir():
        raise UserError(f"{said}: expected a folder for the {kind}, found a file; choose another path")


@contextmanager
def _as_path(said: str) -> Iterator[None]:
    """Turn what the system says of a path, such as that it is too long, into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{said}: cannot be used as a path ({error.strerror}); choose another path") from None


def nearest_folder(path: Path) -> Path:
    """The path, or the first of its parents that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def check_writable(path: Path, said: str = "") -> None:
    """UserError if no file can be written to the folder `path`, which need not exist. said: the path as given."""
    with _as_path(said or str(path)):
        nearest = nearest_folder(path)
        if any(len(os.fsencode(part)) > os.pathconf(nearest, "PC_NAME_MAX") for part in path.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise UserError(f"{said or path}: {nearest} is not a folder that can be written to; choose another path")


def check_outside(out: Path, dataset: Path) -> None:
    """UserError if the output `out` of a dataset would lie in the dataset's own repository."""
    if out.resolve().is_relative_to((dataset / REPOSITORY).resolve()):
        raise UserError(f"--out {out}: lies in the dataset's repository; choose another path")
