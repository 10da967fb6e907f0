"""Evaluate trained runs on benchmarks: predict and score each run on each set -> tables and a report over all."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flows.base import flow
from flows.checks.segmenters import check_evaluate
from models.paths import GivenPath
from tasks.evaluating import compare_runs, score_images


class EvaluateRecord(BaseModel):
    """The result of an evaluation: images scored now (made), scored before (kept), and failed."""

    report: Path
    made: int = 0
    kept: int = 0
    failed: int = 0


@flow(name="evaluate")
def evaluate(
    runs: list[GivenPath],
    benchmarks: dict[str, GivenPath],
    out: GivenPath,
    worst: int = 12,
    overrides: dict[str, Any] | None = None,
) -> EvaluateRecord:
    """Score each run on each benchmark, a name of storage/photos/folders.py and its folder, and compare them in `out`.

    Scored images are not scored again. The tables and the report, with the `worst` images of each run, cover the given
    runs and benchmarks. `overrides` apply to this evaluation only: fields that only predictions depend on, for the runs
    that have them. Scores under other overrides are kept separately.
    """
    configured = check_evaluate(runs, benchmarks, out, overrides)
    counts = [
        score_images(run, name, data, out, of_run) for name, data in benchmarks.items() for run, of_run in configured
    ]
    report = compare_runs(configured, benchmarks, out, worst)
    return EvaluateRecord(report=report, **{name: sum(count[name] for count in counts) for name in counts[0]})
