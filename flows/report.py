"""Write a dataset's report again."""

from pathlib import Path

from flows.base import flow
from flows.checks.report import check_report
from models.paths import GivenPath
from tasks.reporting import write_report


@flow(name="report")
def report(path: GivenPath, version: str | None = None, compare: str | None = None) -> Path:
    """Render `path/report/index.html` for a version, by default the latest published one.

    With `compare`, another version, the report shows the changes since that version.
    """
    return write_report(path, check_report(path, version, compare), compare)
