"""Write a dataset's report again."""

from pathlib import Path

from prefect import flow

from models.errors import UserError
from storage.dataset.reader import open_dataset
from tasks.reporting import write_report


@flow(name="report")
def report(path: Path, version: str | None = None, compare: str | None = None) -> Path:
    """Render `path/report/index.html` for a version, the latest published one when none is named.

    With `compare`, another version, the report says what changed since.
    """
    return write_report(path, check_report(path, version, compare), compare)


def check_report(path: Path, version: str | None = None, compare: str | None = None) -> str:
    """The version to report on; UserError where it or the one to compare with is not there. Writes nothing."""
    found = open_dataset(path, version).version
    if compare is not None and open_dataset(path, compare).version == found:
        raise UserError(f"--compare {compare}: is the version reported on; name another, or leave it out")
    return found
