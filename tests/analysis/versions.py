"""A stored dataset of three versions, from the build whose sampling and cutting are arithmetic. Images are 16x24."""

from pathlib import Path

from storage.dataset.writer import DatasetWriter
from tests.storage.dataset import fake_build


def three_versions(path: Path) -> None:
    """v1 of ten samples; v2, the same cut with another alpha; v3, four samples more."""
    built(path, 10, 2.5)
    with DatasetWriter.reopen(path) as writer:
        writer.recut(config(10, 3.0), fake_build.identity(config(10, 3.0)))
        fake_build.finish(writer, 3.0)
    built(path, 14, 3.0)


def config(count: int, alpha: float) -> dict:
    """One that no BuildConfig takes for its own, so that what is compared is what is written here."""
    return fake_build.config(count, alpha=alpha) | {"made": "by arithmetic"}


def built(path: Path, count: int, alpha: float) -> None:
    whole = config(count, alpha)
    sizes = fake_build.IMAGE, fake_build.GRID, fake_build.SHARD, count
    with DatasetWriter.open(path, whole, fake_build.identity(whole), *sizes) as writer:
        fake_build.finish(writer, alpha)
