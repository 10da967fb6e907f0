"""Write a dataset's report again."""

from pathlib import Path

from prefect import flow

from flows.checks.report import check_report
from tasks.reporting import write_report


@flow(name="report")
def report(path: Path, version: str | None = None, compare: str | None = None) -> Path:
    """Render `path/report/index.html` for a version, the latest published one when none is named.

    With `compare`, another version, the report says what changed since.
    """
    return write_report(path, check_report(path, version, compare), compare)
