"""Write a dataset's report beside it, and its thumbnails to the run's artifacts."""

from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from tasks.api.tracking import attempt
from tasks.base import task


@task(name="report")
def write_report(out: Path, version: str, compare: str | None = None) -> Path:
    """Render `out/report/index.html` for the version and return its path; `compare` as in `analysis.report`."""
    from analysis.report import thumbnails_markdown
    from analysis.report import write_report as render
    from storage.dataset.reader import open_dataset

    dataset = open_dataset(out, version)
    thumbnails, about = thumbnails_markdown(dataset), f"{out} {version}"
    attempt("the thumbnails", lambda: create_markdown_artifact(thumbnails, key="thumbnails", description=about))
    return render(dataset, out / "report", compare)
