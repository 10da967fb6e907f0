"""Write a dataset's report and the picture of its tuning beside it, and its thumbnails to the run's artifacts."""

from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from models.tuning.trials import Setting
from storage.atomic import replacing
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


@task(name="draw")
def draw_masks(out: Path, version: str, samples: int, settings: tuple[Setting, Setting], file: Path) -> None:
    """Write a picture of the trials with their masks before and after, as WEBP."""
    from analysis.figures import compared, encode
    from models.tuning.trials import solve
    from storage.dataset.reader import open_dataset
    from storage.dataset.trials import trial_of, trial_rows

    dataset = open_dataset(out, version)
    trials = [trial_of(dataset, int(row)) for row in trial_rows(dataset, samples)]
    masks = [[solve(trial, setting).mask for setting in settings] for trial in trials]
    picture = compared([trial.image for trial in trials], masks, side=128)
    with replacing(file) as partial:
        partial.write_bytes(encode(picture, "WEBP"))
