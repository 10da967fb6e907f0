"""Masks of photographs by a trained segmenter: read -> predict at their own size -> pictures and table."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel

from flows.checks.build import check_encoder, check_latents, check_segmenter_machine
from models.backbone.facts import check_backbone
from models.clip.categories import check_category
from models.errors import UserError
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from storage.results.outputs import find_photos
from storage.results.predictions import PredictionFolder
from storage.runs.folder import RunFolder, open_run, weights_facts
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


def check_predict(
    run: Path, photos: list[Path], out: Path, category: str | None, overrides: dict[str, Any] | None = None
) -> tuple[list[Path], list[Path], dict[str, Any]]:
    """The photos, those that are not done, and what they are made by; UserError for what would stop the run."""
    folder = open_run(run, overrides)
    made_by = weights_facts(folder) | {"category": category}
    check_segmenter(folder, category)
    found = find_photos(photos)
    predictions = PredictionFolder(out)
    predictions.check(found)
    return found, predictions.pending(found, made_by), made_by


def check_segmenter(run: RunFolder, category: str | None) -> None:
    """UserError for a class that the run's segmenter does not ask for or know, and for what it needs and is not there.

    That is its device, its prior's CLIP unless `category` is given, and its backbone or encoder.
    """
    config = run.config
    backbone = check_backbone(config.backbone) if isinstance(config, DiffusionSegConfig) else None
    if category is not None and (backbone is None or config.prior.clip == "none"):
        trained = "was trained with the empty prompt" if backbone else f"is a {config.segmenter}"
        raise UserError(f"--class {category}: {run.path} {trained} and asks for no class; leave it out")
    if backbone is not None:
        check_category(category, backbone)
    check_segmenter_machine(config, category)
    check_encoder(config.as_trained())
    check_latents(config)
