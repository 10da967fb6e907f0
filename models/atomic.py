"""The one way a file or a folder is replaced: written under a temporary name beside it, flushed to the disk, renamed.

Whoever is killed in between, or loses power, leaves what was there before or what comes after, never half of either.
Knows nothing of what is written. `storage.atomic` has the same for what may not import from here.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux: fcntl.h and renameat2(2)


@contextmanager
def replacing(path: Path, mark: str = "") -> Iterator[Path]:
    """A temporary path to write a file to, which takes the place of `path` if nothing is raised.

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
    """An empty folder to write into, which takes the place of `path` as a whole if nothing is raised.

    Links are followed, so that the folder is replaced and not the link.
    """
    path = Path(os.path.realpath(path))
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a kill
    partial.mkdir(parents=True)
    yield partial
    put(partial, path)


def partial_of(path: Path, mark: str = "") -> Path:
    """The temporary name of a file."""
    return path.with_name(f"{path.name}{mark}.partial")


def old_of(path: Path) -> Path:
    """Where a folder that is being replaced lies meanwhile, on systems that cannot exchange two folders at once."""
    return path.with_name(f".{path.name}.old")


def put(written: Path, path: Path) -> None:
    """Move a file or folder, whole and on the disk, to `path`, and remove what it replaces.

    A folder is flushed by one sync of the file system, which took 0.04 s for 3,000 files of 15 kB where fsync of each
    took 0.7 s. Linux exchanges two folders in one step, and a kill before the removal leaves the earlier one at
    `written`. Other systems move the earlier folder aside first, to `old_of`: a kill right there leaves `path` empty.
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
    """Let two folders trade names in one step; False where the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    return renameat2 is not None and renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0
