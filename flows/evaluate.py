"""Evaluate trained runs on benchmarks: for each run and set predict and score -> tables and report over all."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows.predict import check_segmenter
from storage.folders import open_folder
from storage.runs import open_run, weights_facts
from storage.target import check_writable
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
    choices: dict[str, Any] | None = None,
) -> EvaluateRecord:
    """Score each run on each benchmark, a name of storage/folders.py and its folder, and compare them in `out`.

    What is scored already stays as it is; the tables and the report, with the `worst` images of each, are of the runs
    and benchmarks given. `choices` are for this time alone: fields that predictions alone depend on, of every run.
    """
    check_evaluate(runs, benchmarks, out, choices)
    counts = [score_images(run, layout, data, out, choices) for layout, data in benchmarks.items() for run in runs]
    report = compare_runs(runs, benchmarks, out, worst, choices)
    return EvaluateRecord(report=report, **{name: sum(each[name] for each in counts) for name in counts[0]})


def check_evaluate(
    runs: list[Path], benchmarks: dict[str, Path], out: Path, choices: dict[str, Any] | None = None
) -> None:
    """ValueError for anything that would stop the evaluation. Writes nothing."""
    if not benchmarks:
        raise ValueError("--benchmark: expected one or more, as in --benchmark ECSSD=photos/ECSSD")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: expected a folder for the scores, found a file; choose another path")
    if out.exists() and any(out.iterdir()) and not (out / "scores").is_dir():
        raise ValueError(f"--out {out}: the folder is not empty and holds no evaluation; choose another path")
    check_writable(out)
    names = [run.resolve().name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"runs: {', '.join(twice)} is the name of more than one; rename a folder, or name it once")
    for run in runs:
        folder = open_run(run, choices)
        weights_facts(folder)
        check_segmenter(folder, None)
    for layout, data in benchmarks.items():
        open_folder(layout, data)
