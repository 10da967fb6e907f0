"""Masks of photographs by a trained segmenter: read -> predict at their own size -> pictures and table."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows.checks.segmenters import check_predict
from storage.results.predictions import PredictionFolder
from tasks.predicting import predict_photos


class PredictRecord(BaseModel):
    """What a run ends with: photos predicted now, predicted before and left as they are, and failed."""

    table: Path
    made: int
    kept: int
    failed: int


@flow(name="predict")
def predict(
    run: Path, photos: list[Path], out: Path, category: str | None = None, overrides: dict[str, Any] | None = None
) -> PredictRecord:
    """Predict photos, files or folders, into the folder `out`; what is done is left as it is.

    `overrides` are for this time alone: fields of the run's configuration that predictions alone depend on.
    """
    found, todo, made_by = check_predict(run, photos, out, category, overrides)
    out.mkdir(parents=True, exist_ok=True)
    failed = predict_photos(todo, run, out, category, overrides, made_by) if todo else 0
    made, kept = len(todo) - failed, len(found) - len(todo)
    return PredictRecord(table=out / PredictionFolder.table, made=made, kept=kept, failed=failed)
