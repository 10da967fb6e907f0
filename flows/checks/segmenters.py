"""What is checked before a segmenter is trained, predicts or is evaluated. Importing it imports no torch.

What a segmenter itself needs its configuration says (models/config/training.py).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flows.checks.build import check_machine
from models.backbone.facts import check_backbone
from models.clip.categories import check_category
from models.config.training import TrainConfig, TrainingSet
from models.errors import UserError
from storage.dataset.repository import BUILD
from storage.photos.folders import Benchmark, open_folder
from storage.places import check_place
from storage.results.outputs import find_photos
from storage.results.predictions import PredictionFolder
from storage.runs.folder import FILE, RunFolder, check_run, open_run, weights_facts
from storage.sources import Source, usable


def check_train(config: TrainConfig, source: Source, run: Path) -> tuple[Source, int]:
    """The source resolved, and how many of its samples to train on; UserError for what would stop the training.

    Writes nothing, but fetches a pretrained encoder's weights into the user's cache.
    """
    from storage.runs.loader import batches_in_epoch, sides_of

    source = _check_source(source, run)
    check_run(run, config, source)
    if config.tensorboard and find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: is not installed; pip install tensorboard, or leave it: log.jsonl has the same rows"
        )
    samples = len(sides_of(source, config)[0])
    in_epoch = batches_in_epoch(samples, config.batch_size)
    if config.gradient_accumulation_steps > in_epoch:
        raise UserError(
            f"gradient_accumulation_steps: expected at most {in_epoch}, the batches of an epoch of {samples} "
            f"samples, got {config.gradient_accumulation_steps}; lower it, or batch_size"
        )
    check_segmenter(config, TrainingSet(samples, source.image_size()))
    return source, samples


def _check_source(source: Source, run: Path) -> Source:
    """The source resolved; the latest version where none is named, but the run's own for a run to resume."""
    if source.version == BUILD:
        raise UserError(
            f"--version {BUILD}: expected a published version, which stays as it is; finish the build first"
        )
    if source.layout is None and source.version is None and (run / FILE).is_file():
        before = open_run(run).source
        version = before.version if before.layout is None else None
        source = source.model_copy(update={"version": version})
    data = source.open()
    samples = len(usable(data))
    if isinstance(data, Benchmark):
        if samples < 2:
            raise UserError(f"{source.path}: expected two pairs or more to train and validate on, got {samples}")
        data.check_headers()
    elif samples < 2:
        raise UserError(
            f"{source.path} {data.version}: expected two kept samples or more to train and validate on, got {samples} "
            f"of {len(data)}; build more, or screen less strictly with maskmill recut"
        )
    return source.resolved(data)


def check_predict(
    run: Path, photos: list[Path], out: Path, category: str | None, overrides: dict[str, Any] | None = None
) -> tuple[list[Path], list[Path], dict[str, Any]]:
    """The photos, those that are not done, and what they are made by; UserError for what would stop the run."""
    folder = open_run(run, overrides)
    made_by = weights_facts(folder) | {"category": category}
    check_run_usable(folder, category)
    found = find_photos(photos)
    predictions = PredictionFolder(out)
    predictions.check(found)
    return found, predictions.pending(found, made_by), made_by


def check_evaluate(
    runs: list[Path], benchmarks: dict[str, Path], out: Path, overrides: dict[str, Any] | None = None
) -> list[tuple[Path, dict[str, Any]]]:
    """The runs, each with those of the overrides that it has; UserError for what would stop. Writes nothing."""
    if not benchmarks:
        raise UserError("--benchmark: expected one or more, as in --benchmark ECSSD=photos/ECSSD")
    check_place(out, "evaluation", is_ours=lambda folder: (folder / "scores").is_dir())
    names = [run.resolve().name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"runs: {', '.join(twice)} is the name of more than one; rename a folder, or name it once")
    chosen = [(run, _own(open_run(run), overrides or {})) for run in runs]
    taken = {name for _, own in chosen for name in own}
    open_run(runs[0], {name: value for name, value in (overrides or {}).items() if name not in taken})  # refuses any
    for run, own in chosen:
        folder = open_run(run, own)
        weights_facts(folder)
        check_run_usable(folder)
    for layout, data in benchmarks.items():
        open_folder(layout, data)
    return chosen


def _own(run: RunFolder, overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides that predictions of the run can be given."""
    return {name: value for name, value in overrides.items() if name in run.config.predicting | {"run"}}


def check_run_usable(run: RunFolder, category: str | None = None) -> None:
    """UserError for a class that the run's segmenter takes none of or cannot know, and as `check_segmenter`."""
    if category is not None and not run.config.takes_class():
        raise UserError(f"--class {category}: {run.path}, {run.config.label()}, asks for no class; leave it out")
    check_segmenter(run.config.as_trained(), None, category)


def check_segmenter(config: TrainConfig, training: TrainingSet | None, category: str | None = None) -> None:
    """UserError if a segmenter's device, CLIP, backbone or encoder is not there, or does not fit its configuration.

    training: the samples to train on; None to predict photographs, of `category` where it is given.
    """
    check_machine(config.run, config.clip_asked(category), "prior.clip")
    backbone = config.uses_backbone()
    facts = None if backbone is None else check_backbone(backbone)
    if facts is not None:
        check_category(category, facts)
    config.check(facts, training)
    config.fetch_weights()
