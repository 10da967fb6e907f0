"""Train a segmenter on a dataset version or a folder: run folder -> features (once) -> training -> best weights."""

import os
from pathlib import Path

from pydantic import BaseModel

from flows.base import flow
from flows.checks.segmenters import check_train
from models.paths import GivenPath
from models.segmenters.registry import SegmenterConfig
from storage.lock import WriterLock
from storage.photos.notes import NOTES_FILE
from storage.runs.folder import LOCK_FILE, create_run
from storage.sources import Source
from tasks.training import cache_features, fit_segmenter


class TrainRecord(BaseModel):
    """The result of a training; score is the best validation's mean IoU.

    void: pixels of the training masks that are not judged, at the training's size; 0 if no step was left to do.
    """

    run: Path
    version: str
    training: int
    validation: int
    steps: int
    score: float
    void: int = 0


@flow(name="train")
def train(config: SegmenterConfig, source: Source, run: GivenPath) -> TrainRecord:
    """Train in the run folder on a dataset, or on a folder of photographs with masks; a killed run resumes.

    A finished run trains no further, unless `config` has more epochs.
    """
    source, training = check_train(config, source, run)
    run.mkdir(parents=True, exist_ok=True)
    lock = None
    if os.environ.get("RANK", "0") == "0":  # only torchrun's first process saves
        lock = WriterLock(run / LOCK_FILE, "another training is writing this run")
    try:
        create_run(run, config, source, training)
        if lock is not None:
            source.notes().write(run / NOTES_FILE)
        if config.caches_features():
            cache_features(run)
        return TrainRecord(run=run, version=source.edition(), **fit_segmenter(run))
    finally:
        if lock is not None:
            lock.release()
