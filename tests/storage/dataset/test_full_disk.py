"""A disk that is full: the build stays as committed, and the next run continues."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.dataset.reader import open_dataset
from tests.storage.dataset.comparing import assert_same, contents
from tests.storage.dataset.fake_build import finish, open_writer, work_shard


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow: every write of data fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("when", ["write", "commit"])
def test_full_disk_leaves_the_build_as_committed(when: str, tmp_path: Path, uninterrupted: Path) -> None:
    path = tmp_path / "dataset"
    with open_writer(path, 10) as writer:
        fork = writer.fork()
        work_shard(fork, 0, "plan")
        writer.commit(fork, "plan 0")
        before = contents(path, "build")
        with pytest.raises(OSError, match="nothing committed is lost"):
            doomed = writer.fork()
            if when == "write":
                with full_disk():
                    work_shard(doomed, 0, "sample")
            work_shard(doomed, 0, "sample")
            with full_disk():
                writer.commit(doomed, "sample 0")
        assert_same(contents(path, "build"), before)
    with open_writer(path, 10) as writer:
        finish(writer)
    assert_same(contents(path), contents(uninterrupted))


def test_full_disk_at_publishing_leaves_the_version_for_the_next_run(tmp_path: Path) -> None:
    with open_writer(tmp_path, 10) as writer:
        finish(writer)
    with open_writer(tmp_path, 11) as writer:
        for stage in ("plan", "sample", "cut", "screen"):
            fork = writer.fork()
            work_shard(fork, 2, stage)
            writer.commit(fork, stage)
        with full_disk(), pytest.raises(OSError, match="nothing committed is lost"):
            writer.publish("no room for it")
        assert open_dataset(tmp_path).version == "v1" and len(open_dataset(tmp_path)) == 10
        assert finish(writer) == "v2"
