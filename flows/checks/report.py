"""Checks before a report is written."""

from pathlib import Path

from models.errors import UserError
from storage.dataset.reader import open_dataset


def check_report(path: Path, version: str | None = None, compare: str | None = None) -> str:
    """The version to report on; UserError if it or the version to compare with does not exist. Writes nothing."""
    reported = open_dataset(path, version).version
    if compare is not None and open_dataset(path, compare).version == reported:
        raise UserError(f"--compare {compare}: is the version of the report itself; name another, or leave it out")
    return reported
