"""Predict photographs' masks with a run's segmenter: read, predict at their own size, write."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from models.errors import UserError
from storage.photos.pictures import read_photo
from storage.results.outputs import digest
from storage.results.predictions import PredictionFolder, PredictionRow
from storage.runs.folder import open_run
from tasks.base import task

if TYPE_CHECKING:
    from models.segmenters.protocol import Segmenter


@task(name="predict")
def predict_photos(
    photos: list[Path],
    run: Path,
    out: Path,
    category: str | None,
    overrides: dict[str, Any] | None,
    made_by: dict[str, Any],
) -> int:
    """Write each photo's pictures and row, some photos at a time; how many have no mask."""
    from storage.runs.checkpoints import load_run

    opened, folder, failed = open_run(run, overrides), PredictionFolder(out), 0
    segmenter, batch = load_run(opened), opened.config.run.batch_size
    with tqdm(total=len(photos), desc="predicting", unit="photo") as bar:
        for start in range(0, len(photos), batch):
            rows = _predict(photos[start : start + batch], segmenter, folder, category, made_by)
            folder.add(rows)
            for row in (row for row in rows if row.error):
                failed += 1
                bar.write(f"maskmill: {row.error}", file=sys.stderr)
            bar.update(len(rows))
    return failed


def _predict(
    photos: list[Path], segmenter: "Segmenter", folder: PredictionFolder, category: str | None, made_by: dict[str, Any]
) -> list[PredictionRow]:
    """The rows of a few photos, the pictures of those that can be read being written."""
    from models.cut.masks import box

    read, rows = _read(photos)
    categories = None if category is None else [category] * len(read)
    for photo, soft in zip(read, segmenter.predict(list(read.values()), categories) if read else [], strict=True):
        if error := fault_of(photo, soft):
            rows.append(PredictionRow(photo.stem, str(photo), error=error))
            continue
        folder.write_prediction(photo.stem, soft)
        mask = soft > 0.5
        made_from = digest(photo, made_by)
        rows.append(PredictionRow(photo.stem, str(photo), "", made_from, *box(mask), float(mask.mean())))
    return rows


def fault_of(photo: Path, soft: np.ndarray) -> str:
    """Why a photo's predicted mask cannot be used, '' where it can; thresholding it would show no object."""
    return "" if np.isfinite(soft).all() else f"{photo}: the mask has values that are no number"


def _read(photos: list[Path]) -> tuple[dict[Path, np.ndarray], list[PredictionRow]]:
    """The photos that can be read, and the rows of the others."""
    read, rows = {}, []
    for photo in photos:
        try:
            read[photo] = read_photo(photo)
        except (UserError, OSError) as error:
            rows.append(PredictionRow(photo.stem, str(photo), error=str(error)))
    return read, rows
