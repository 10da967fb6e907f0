"""One writer at a time: a file lock that the kernel releases when its process ends, also after a crash.

Knows nothing of what it guards. The lock is the kernel's (flock); the file's text only names the process that holds it.
A forked child would hold the lock too; workers are spawned instead, so they do not inherit it.
"""

import fcntl
import os
from pathlib import Path
from tempfile import TemporaryFile

from models.errors import UserError
from storage.places import nearest_folder


def check_lockable(path: Path) -> None:
    """UserError if files below `path`, which need not exist, cannot be locked; leaves no file.

    On some network shares they cannot.
    """
    folder = nearest_folder(path)
    with TemporaryFile(dir=folder) as file:
        _lock(file.fileno(), folder)


def _lock(file: int, path: Path) -> None:
    """Lock an open file; BlockingIOError if another process holds it, UserError if the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        raise UserError(
            f"{path}: expected a file system with locks, which keep two writers apart, and this one refuses them "
            f"({error.strerror}); choose a path on a local disk, or have the share mounted with locks"
        ) from None


class WriterLock:
    """An exclusive lock on a file, held from construction until `release` or the end of the process.

    UserError if another process holds it, or the file system has no locks. `others` describes that process, as in
    'another build is writing this dataset'.
    """

    def __init__(self, path: Path, others: str):
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._file, path)
        except UserError:
            os.close(self._file)
            raise
        except BlockingIOError:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise UserError(
                f"{path} is held by process {holder}: {others}; wait for it to end, or choose another path"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock. The file stays: removing it could remove the lock of the next holder."""
        os.close(self._file)
