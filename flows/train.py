"""Train a segmenter on a dataset version or a folder: run folder -> features, once -> training -> best weights."""

import os
from importlib.util import find_spec
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows.checks.build import check_encoder, check_latents, check_segmenter_machine
from models.backbone.facts import check_backbone
from models.errors import UserError
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.registry import SegmenterConfig
from storage.dataset.reader import open_dataset
from storage.dataset.repository import BUILD
from storage.lock import WriterLock
from storage.photos.folders import folder_version, layout_of, open_folder
from storage.runs.folder import FILE, LOCK_FILE, check_run, create_run, open_run
from tasks.training import cache_features, fit_segmenter


class TrainRecord(BaseModel):
    """What a training ends with; score is the best validation's mean IoU."""

    run: Path
    version: str
    training: int
    validation: int
    steps: int
    score: float


@flow(name="train")
def train(
    config: SegmenterConfig, data: Path, run: Path, version: str | None = None, layout: str | None = None
) -> TrainRecord:
    """Train in the run folder, going on where it was; a finished run does no more.

    On a dataset, or where a layout (storage/photos/folders.py) is named, on the photos and masks that lie so in `data`.
    """
    version, training = check_train(config, data, run, version, layout)
    run.mkdir(parents=True, exist_ok=True)
    lock = None
    if os.environ.get("RANK", "0") == "0":  # the first process that torchrun starts, which alone saves
        lock = WriterLock(run / LOCK_FILE, "another training is writing this run")
    try:
        create_run(run, config, data, version, training)
        if config.caches_features():
            cache_features(run)
        return TrainRecord(run=run, version=version, **fit_segmenter(run))
    finally:
        if lock is not None:
            lock.release()


def check_train(
    config: SegmenterConfig, data: Path, run: Path, version: str | None, layout: str | None = None
) -> tuple[str, int]:
    """The version to train on, and how many of its samples; UserError for what would stop the training.

    Writes nothing, but fetches a pretrained encoder's weights into the user's cache.
    """
    from storage.runs.loader import batches_in_epoch, sides_of

    version = _check_dataset(config, data, run, version) if layout is None else _check_folder(config, data, layout)
    check_run(run, config, data, version)
    check_segmenter_machine(config)
    if config.tensorboard and find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: is not installed; pip install tensorboard, or leave it: log.jsonl has the same rows"
        )
    training, _ = sides_of(data, version, config)
    in_epoch = batches_in_epoch(len(training), config.batch_size)
    if config.gradient_accumulation_steps > in_epoch:
        raise UserError(
            f"gradient_accumulation_steps: expected at most {in_epoch}, the batches of an epoch of {len(training)} "
            f"samples, got {config.gradient_accumulation_steps}; lower it, or batch_size"
        )
    check_encoder(config)
    check_latents(config, len(training))
    return version, len(training)


def _check_folder(config: SegmenterConfig, data: Path, layout: str) -> str:
    """The version of the photos and masks in a folder."""
    if isinstance(config, DiffusionSegConfig):
        raise UserError(f"--folder: {config.segmenter} trains on a dataset; give --data, or train another segmenter")
    pairs = open_folder(layout, data)
    if pairs.has_boxes:
        raise UserError(f"--folder {layout}: expected a set with masks to train on, got one with boxes")
    if len(pairs) < 2:
        raise UserError(f"{data}: expected two pairs or more to train and validate on, got {len(pairs)}")
    pairs.check_headers()
    return folder_version(layout, pairs)


def _check_dataset(config: SegmenterConfig, data: Path, run: Path, version: str | None) -> str:
    """The version to train on: the latest where none is named, but the run's own for a run to go on with."""
    if version is None and (run / FILE).is_file() and layout_of(stored := open_run(run).version) is None:
        version = stored
    if version == BUILD:
        raise UserError(
            f"--version {BUILD}: expected a published version, which stays as it is; finish the build first"
        )
    dataset = open_dataset(data, version)
    kept = len(dataset.kept())
    if kept < 2:
        raise UserError(
            f"{data} {dataset.version}: expected two kept samples or more to train and validate on, got {kept} of "
            f"{len(dataset)}; build more, or screen less strictly with maskmill recut"
        )
    if isinstance(config, DiffusionSegConfig):
        check_backbone(config.backbone).sizes(*dataset.image_size)
    return dataset.version
