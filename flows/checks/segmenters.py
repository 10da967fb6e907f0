"""Checks before a segmenter is trained, predicts or is evaluated. Importing it imports no torch.

A segmenter's own requirements are checked by its configuration (models/config/training.py).
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flows.checks.build import check_machine
from models.backbone.facts import check_backbone
from models.clip.categories import check_category
from models.config.backbone import BackboneConfig
from models.config.training import TrainConfig, TrainingSet
from models.errors import UserError
from storage.dataset.reader import Dataset
from storage.dataset.repository import BUILD
from storage.lock import check_lockable
from storage.photos.folders import Benchmark, open_folder
from storage.photos.inspection import Check, check_readable, usual_check
from storage.photos.notes import Notes
from storage.places import check_place
from storage.results.outputs import find_photos
from storage.results.predictions import PredictionFolder
from storage.runs.folder import FILE, RunFolder, check_run, open_run, weights_facts
from storage.sources import Source, usable


def check_train(config: TrainConfig, source: Source, run: Path, check: Check | None = "headers") -> tuple[Source, int]:
    """The resolved source, and the number of its training samples; UserError if the training is not possible.

    check: whether all pictures of a folder are decoded, or only their headers read; None: as their number suggests.
    Writes nothing, but fetches a pretrained encoder's weights into the user's cache.
    """
    from storage.runs.loader import batches_in_epoch, sides_of

    source, data = _check_source(source, run)
    if config.tensorboard and find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: is not installed; pip install tensorboard, or leave it out: log.jsonl has the same rows"
        )
    samples = len(sides_of(source, config)[0])
    check_run(run, config, source, samples)
    check_lockable(run)
    in_epoch = batches_in_epoch(samples, config.batch_size)
    if config.gradient_accumulation_steps > in_epoch:
        raise UserError(
            f"gradient_accumulation_steps: expected at most {in_epoch}, the batches of an epoch of {samples} "
            f"samples, got {config.gradient_accumulation_steps}; lower it, or batch_size"
        )
    check_segmenter(config, TrainingSet(samples, source.image_size(), int(os.environ.get("WORLD_SIZE", 1))))
    if isinstance(data, Benchmark) and (check or usual_check(data)) == "full":
        with tqdm(total=len(data), desc="checking pictures", unit="pair", delay=1, leave=False) as bar:
            check_readable(data, bar.update)
    return source, samples


def _check_source(source: Source, run: Path) -> tuple[Source, Dataset | Benchmark]:
    """The resolved source, and what it opens.

    If no version is named, it is the run's version when resuming, else the latest.
    """
    if source.version == BUILD:
        raise UserError(f"--version {BUILD}: expected a published version, which never changes; finish the build first")
    if source.layout is None and source.version is None and (run / FILE).is_file():
        before = open_run(run).source
        version = before.version if before.layout is None else None
        source = source.model_copy(update={"version": version})
    data = source.open()
    samples = len(usable(data))
    if isinstance(data, Benchmark):
        if samples < 2:
            raise UserError(f"{source.path}: expected at least two pairs, for training and validation, got {samples}")
        data.check_headers()
    elif samples < 2:
        raise UserError(
            f"{source.path} {data.version}: expected at least two kept samples, for training and validation, got "
            f"{samples} of {len(data)}; build more, or screen less strictly with maskmill recut"
        )
    return source.resolved(data), data


def check_predict(
    run: Path,
    photos: list[Path],
    out: Path,
    category: str | None,
    overrides: dict[str, Any] | None = None,
    left_out: Notes | None = None,
) -> tuple[list[Path], list[Path], dict[str, Any]]:
    """The photos, those that are not done, and the identity of their predictions; UserError if the run is not possible.

    The identity has the facts of the weights and the class. left_out: gains the files that are not taken, as in
    `find_photos`.
    """
    folder = open_run(run, overrides)
    identity = weights_facts(folder) | {"category": category}
    check_run_usable(folder, category)
    files = find_photos(photos, left_out)
    predictions = PredictionFolder(out)
    predictions.check(files)
    return files, predictions.pending(files, identity), identity


def check_evaluate(
    runs: list[Path], benchmarks: dict[str, Path], out: Path, overrides: dict[str, Any] | None = None
) -> list[tuple[Path, dict[str, Any]]]:
    """The runs, each with the overrides it accepts; UserError if the evaluation is not possible. Writes nothing."""
    if not benchmarks:
        raise UserError("--benchmark: expected one or more, as in --benchmark ECSSD=photos/ECSSD")
    check_place(out, "evaluation", is_ours=lambda folder: (folder / "scores").is_dir())
    names = [run.resolve().name for run in runs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"runs: expected distinct names, got {', '.join(repeated)} more than once; rename a folder, or give it once"
        )
    configured = [(run, _accepted(open_run(run), overrides or {})) for run in runs]
    accepted = {name for _, of_run in configured for name in of_run}
    unknown = {name: value for name, value in (overrides or {}).items() if name not in accepted}
    open_run(runs[0], unknown)  # UserError if there are any
    for run, of_run in configured:
        folder = open_run(run, of_run)
        weights_facts(folder)
        check_run_usable(folder)
    for layout, data in benchmarks.items():
        open_folder(layout, data)
    return configured


def _accepted(run: RunFolder, overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides that predictions of the run accept."""
    return {name: value for name, value in overrides.items() if name in run.config.predicting | {"run"}}


def check_run_usable(run: RunFolder, category: str | None = None) -> None:
    """UserError if the run's segmenter takes no class or does not know this one, and as in `check_segmenter`."""
    if category is not None and not run.config.takes_class():
        raise UserError(f"--class {category}: {run.path}, {run.config.label()}, takes no class; leave it out")
    check_segmenter(run.config.as_trained(), None, category)


def check_segmenter(config: TrainConfig, training: TrainingSet | None, category: str | None = None) -> None:
    """UserError if a segmenter's device, CLIP, backbone or encoder does not exist, or does not fit its configuration.

    training: the samples to train on; None to predict photographs, of `category` if it is given.
    """
    check_machine(config.run, config.clip_asked(category), "prior.clip")
    backbone = config.uses_backbone()
    revision = config.revision if isinstance(config, BackboneConfig) else None
    facts = None if backbone is None else check_backbone(backbone, revision)
    if facts is not None:
        check_category(category, facts)
    config.check(facts, training)
    config.fetch_weights()
