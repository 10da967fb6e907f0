"""Train a segmenter on a dataset version: run folder -> features, once -> training -> best weights."""

from importlib.util import find_spec
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows.preflight import check_machine
from models.backbone import check_backbone
from models.config import DiffusionSegConfig
from storage.dataset import open_dataset
from storage.repository import BUILD
from storage.runs import FILE, check_run, create_run, open_run
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
def train(config: DiffusionSegConfig, data: Path, run: Path, version: str | None = None) -> TrainRecord:
    """Train in the run folder, going on where it was; a finished run does no more."""
    version = check_train(config, data, run, version)
    create_run(run, config, data, version)
    if config.cache:
        cache_features(run)
    return TrainRecord(run=run, version=version, **fit_segmenter(run))


def check_train(config: DiffusionSegConfig, data: Path, run: Path, version: str | None) -> str:
    """The version to train on; ValueError for anything that would stop the training. Writes nothing.

    The latest where none is named, but the run's own for a run to go on with.
    """
    if version is None and (run / FILE).is_file():
        version = open_run(run).version
    if version == BUILD:
        raise ValueError(
            f"--version {BUILD}: expected a published version, which stays as it is; finish the build first"
        )
    dataset = open_dataset(data, version)
    kept = len(dataset.kept())
    if kept < 2:
        raise ValueError(
            f"{data} {dataset.version}: expected two kept samples or more to train and validate on, got {kept} of "
            f"{len(dataset)}; build more, or screen less strictly with maskmill recut"
        )
    check_run(run, config, data, dataset.version)
    check_backbone(config.backbone).sizes(*dataset.image_size)
    check_machine(config.run, config.prior.clip, "prior.clip")
    if config.tensorboard and find_spec("tensorboard") is None:
        raise ValueError(
            "tensorboard: is not installed; pip install tensorboard, or leave it: log.jsonl has the same rows"
        )
    return dataset.version
