"""Evaluate trained runs on benchmarks: for each run and set predict and score -> tables and report over all."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows.predict import check_segmenter
from models.errors import UserError
from storage.photos.folders import open_folder
from storage.places import check_place
from storage.runs.folder import RunFolder, open_run, weights_facts
from tasks.evaluating import compare_runs, score_images


class EvaluateRecord(BaseModel):
    """What an evaluation ends with: images scored now, scored before and left as they are, and failed."""

    report: Path
    made: int = 0
    kept: int = 0
    failed: int = 0


@flow(name="evaluate")
def evaluate(
    runs: list[Path],
    benchmarks: dict[str, Path],
    out: Path,
    worst: int = 12,
    overrides: dict[str, Any] | None = None,
) -> EvaluateRecord:
    """Score each run on each benchmark, a name of storage/photos/folders.py and its folder, and compare them in `out`.

    What is scored already stays as it is; the tables and the report, with the `worst` images of each, are of the runs
    and benchmarks given. `overrides` are for this time alone: fields that predictions alone depend on, of the runs that
    have them. What is scored under other overrides stays as it is too.
    """
    chosen = check_evaluate(runs, benchmarks, out, overrides)
    counts = [score_images(run, name, data, out, own) for name, data in benchmarks.items() for run, own in chosen]
    report = compare_runs(chosen, benchmarks, out, worst)
    return EvaluateRecord(report=report, **{name: sum(each[name] for each in counts) for name in counts[0]})


def check_evaluate(
    runs: list[Path], benchmarks: dict[str, Path], out: Path, overrides: dict[str, Any] | None = None
) -> list[tuple[Path, dict[str, Any]]]:
    """The runs, each with those of the overrides that it has; UserError for what would stop. Writes nothing."""
    if not benchmarks:
        raise UserError("--benchmark: expected one or more, as in --benchmark ECSSD=photos/ECSSD")
    check_place(out, "evaluation", is_ours=lambda folder: (folder / "scores").is_dir())
    names = [run.resolve().name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"runs: {', '.join(twice)} is the name of more than one; rename a folder, or name it once")
    chosen = [(run, _own(open_run(run), overrides or {})) for run in runs]
    taken = {name for _, own in chosen for name in own}
    open_run(runs[0], {name: value for name, value in (overrides or {}).items() if name not in taken})  # refuses any
    for run, own in chosen:
        folder = open_run(run, own)
        weights_facts(folder)
        check_segmenter(folder, None)
    for layout, data in benchmarks.items():
        open_folder(layout, data)
    return chosen


def _own(run: RunFolder, overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides that predictions of the run can be given."""
    return {name: value for name, value in overrides.items() if name in run.config.predicting | {"run"}}
