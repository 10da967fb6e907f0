"""What is checked before a report is written."""

from pathlib import Path

from models.errors import UserError
from storage.dataset.reader import open_dataset


def check_report(path: Path, version: str | None = None, compare: str | None = None) -> str:
    """The version to report on; UserError if it or the one to compare with is not there. Writes nothing."""
    found = open_dataset(path, version).version
    if compare is not None and open_dataset(path, compare).version == found:
        raise UserError(f"--compare {compare}: is the version reported on; name another, or leave it out")
    return found
