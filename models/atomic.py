"""The one way a file or a folder is replaced: written under a temporary name beside it, flushed to the disk, renamed.

A kill or a power loss leaves the old content or the new content, never a part of either.
Knows nothing of what is written. `storage.atomic` offers the same to the packages that may not import from models.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # Linux: fcntl.h and renameat2(2)


@contextmanager
def replacing(path: Path, mark: str = "") -> Iterator[Path]:
    """A temporary path to write a file to; it replaces `path` if nothing is raised.

    mark: part of the temporary name, for files that several processes may write at once.
    """
    partial = partial_of(path, mark)
    try:
        yield partial
        put(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write into; it replaces `path` as a whole if nothing is raised.

    Links are followed: the folder is replaced, not the link.
    """
    path = Path(os.path.realpath(path))
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
    partial.mkdir(parents=True)
    yield partial
    put(partial, path)


def partial_of(path: Path, mark: str = "") -> Path:
    """The temporary name of a file."""
    return path.with_name(f"{path.name}{mark}.partial")


def old_of(path: Path) -> Path:
    """Where the replaced folder is kept meanwhile, on systems that cannot exchange two folders in one step."""
    return path.with_name(f".{path.name}.old")


def put(written: Path, path: Path) -> None:
    """Flush a complete file or folder to the disk, move it to `path`, and remove the one it replaces.

    A folder is flushed by one sync of the file system: 0.04 s for 3,000 files of 15 kB, while fsync of each took 0.7 s.
    Linux exchanges two folders in one step, and a kill before the removal leaves the earlier one at `written`. Other
    systems first move the earlier folder to `old_of`; a kill right after that leaves no folder at `path`.
    """
    if not written.is_dir():
        _flush(written)
        written.replace(path)
    else:
        os.sync()
        old = old_of(path)
        shutil.rmtree(old, ignore_errors=True)
        if not path.exists():
            written.replace(path)
        elif _exchange(written, path):
            old = written
        else:
            path.replace(old)
            written.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False if the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    return renameat2 is not None and renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0
