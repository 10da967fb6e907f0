"""Write a dataset's report again."""

from pathlib import Path

from prefect import flow

from storage.dataset import open_dataset
from tasks.reporting import write_report


@flow(name="report")
def report(path: Path, version: str | None = None) -> Path:
    """Render `path/report/index.html` for a version, the latest published one when none is named."""
    return write_report(path, open_dataset(path, version).version)
