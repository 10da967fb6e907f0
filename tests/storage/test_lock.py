"""The lock of a writer: one at a time, and a file system without locks is refused before anything is written."""

import errno
import fcntl
import os

import pytest

from models.errors import UserError
from storage.lock import WriterLock, check_lockable
from tests.flows.segmenters.training import invoke

WITHOUT = [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL]


@pytest.fixture(params=WITHOUT, ids=errno.errorcode.get)
def share(request, tmp_path, monkeypatch):
    """A folder on a network share without locks: what its system answers to each try."""

    def refuses(file: object, how: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuses)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_holds_it_until_it_is_released(tmp_path):
    check_lockable(tmp_path / "new")
    lock = WriterLock(tmp_path / "lock", "another")
    with pytest.raises(UserError, match=f"held by process {os.getpid()}: another; wait"):
        WriterLock(tmp_path / "lock", "another")
    check_lockable(tmp_path)
    lock.release()
    WriterLock(tmp_path / "lock", "another").release()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_file_system_without_locks_is_told_in_one_line_and_no_file_stays_open(share):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(UserError, match=f"{share}.* refuses them .*; choose a path on a local disk"):
            check_lockable(share / "new" / "data")
        with pytest.raises(UserError, match="file system with locks"):
            WriterLock(share / "lock", "another")
    assert len(os.listdir("/proc/self/fd")) == before and [path.name for path in share.iterdir()] == ["lock"]


def test_a_build_there_is_refused_before_anything_is_written(share):
    done = invoke("build", "--classes", "ball", "--count", "1", "--out", share / "data")
    assert done.exit_code == 2 and "file system with locks" in done.output and not list(share.iterdir())
    assert done.output.count("\n") == 1
