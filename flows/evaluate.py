"""Evaluate trained runs on benchmarks: for each run and set predict and score -> tables and report over all."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows.checks.segmenters import check_evaluate
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
