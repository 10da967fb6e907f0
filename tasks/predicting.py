"""Predict photographs' masks with a run's segmenter: read, predict at native size, write."""

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
    identity: dict[str, Any],
) -> int:
    """Write each photo's pictures and row, batch by batch; returns the number of photos without a mask."""
    from storage.runs.checkpoints import load_run

    opened, folder, failed = open_run(run, overrides), PredictionFolder(out), 0
    segmenter, batch = load_run(opened), opened.config.run.batch_size
    with tqdm(total=len(photos), desc="predicting", unit="photo") as bar:
        for start in range(0, len(photos), batch):
            rows = _predict(photos[start : start + batch], segmenter, folder, category, identity)
            folder.add(rows)
            for row in (row for row in rows if row.error):
                failed += 1
                bar.write(f"maskmill: {row.error}", file=sys.stderr)
            bar.update(len(rows))
    return failed


def _predict(
    photos: list[Path], segmenter: "Segmenter", folder: PredictionFolder, category: str | None, identity: dict[str, Any]
) -> list[PredictionRow]:
    """Predict a batch of photos and write the pictures of the readable ones; returns the rows of all."""
    from models.cut.masks import box

    images, rows = _read(photos, folder)
    categories = None if category is None else [category] * len(images)
    soft_masks = segmenter.predict(list(images.values()), categories) if images else []
    for photo, soft in zip(images, soft_masks, strict=True):
        name = folder.name_of(photo)
        if error := fault_of(photo, soft):
            rows.append(PredictionRow(name, str(photo), error=error))
            continue
        folder.write_prediction(name, soft)
        mask = soft > 0.5
        made_from = digest(photo, identity)
        rows.append(PredictionRow(name, str(photo), "", made_from, *box(mask), float(mask.mean())))
    return rows


def fault_of(photo: Path, soft: np.ndarray) -> str:
    """Why a photo's predicted mask cannot be used, '' if it can; a threshold would turn NaN into background."""
    return "" if np.isfinite(soft).all() else f"{photo}: the mask has values that are NaN or infinite"


def _read(photos: list[Path], folder: PredictionFolder) -> tuple[dict[Path, np.ndarray], list[PredictionRow]]:
    """The readable photos, (H, W, 3) uint8 by file, and the rows of the others."""
    images, rows = {}, []
    for photo in photos:
        try:
            images[photo] = read_photo(photo)
        except (UserError, OSError) as error:
            rows.append(PredictionRow(folder.name_of(photo), str(photo), error=str(error)))
    return images, rows
