"""Masks of photographs by a trained segmenter: read -> predict at native size -> pictures and table."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flows.base import flow
from flows.checks.segmenters import check_predict
from models.paths import GivenPath
from storage.results.predictions import PredictionFolder
from tasks.predicting import predict_photos


class PredictRecord(BaseModel):
    """The result of a run: photos predicted now (made), predicted before (kept), and failed."""

    table: Path
    made: int
    kept: int
    failed: int


@flow(name="predict")
def predict(
    run: GivenPath,
    photos: list[GivenPath],
    out: GivenPath,
    category: str | None = None,
    overrides: dict[str, Any] | None = None,
) -> PredictRecord:
    """Predict photos, files or folders, into the folder `out`; finished photos are not predicted again.

    `overrides` apply to this call only: fields of the run's configuration that only predictions depend on.
    """
    files, todo, identity = check_predict(run, photos, out, category, overrides)
    out.mkdir(parents=True, exist_ok=True)
    failed = predict_photos(todo, run, out, category, overrides, identity) if todo else 0
    counts = {"made": len(todo) - failed, "kept": len(files) - len(todo), "failed": failed}
    return PredictRecord(table=out / PredictionFolder.table, **counts)
