"""Predict photographs' masks with a run's segmenter: read, predict at their own size, write."""

from pathlib import Path
from typing import Any

import numpy as np

from storage.outputs import digest
from storage.photos import read_photo
from storage.predictions import PredictionFolder, PredictionRow
from storage.runs import open_run
from tasks.base import task


@task(name="predict")
def predict_photos(
    photos: list[Path],
    run: Path,
    out: Path,
    category: str | None,
    choices: dict[str, Any] | None,
    made_by: dict[str, Any],
) -> list[str]:
    """Write each photo's pictures and row; returns the errors of those that have no mask."""
    from models.screening import box
    from storage.checkpoints import load_run

    read, rows = _read(photos)
    folder = PredictionFolder(out)
    segmenter = load_run(open_run(run, choices))
    categories = None if category is None else [category] * len(read)
    for photo, soft in zip(read, segmenter.predict(list(read.values()), categories) if read else [], strict=True):
        folder.write_prediction(photo.stem, soft)
        mask = soft > 0.5
        made_from = digest(photo, made_by)
        rows.append(PredictionRow(photo.stem, str(photo), "", made_from, *box(mask), float(mask.mean())))
    folder.add(rows)
    return [row.error for row in rows if row.error]


def _read(photos: list[Path]) -> tuple[dict[Path, np.ndarray], list[PredictionRow]]:
    """The photos that can be read, and the rows of the others."""
    read, rows = {}, []
    for photo in photos:
        try:
            read[photo] = read_photo(photo)
        except (ValueError, OSError) as error:
            rows.append(PredictionRow(photo.stem, str(photo), error=str(error)))
    return read, rows
