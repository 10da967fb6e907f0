"""A run folder's description: the segmenter, its configuration, and the samples it was trained on.

Imports no torch; the weights are in storage/runs/checkpoints.py. Knows nothing of training.
"""

import json
import logging
import os
from dataclasses import dataclass, field, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from models.config.base import PLACE, STORED
from models.config.overrides import complaints
from models.config.training import TrainConfig
from models.errors import UserError
from models.mappings import differences, overlaid
from models.paths import given_path
from models.segmenters.registry import SEGMENTERS
from storage.atomic import replacing
from storage.places import check_place
from storage.sources import Source

logger = logging.getLogger(__name__)
FILE, BEST, LOCK_FILE = "config.json", "best.safetensors", "train.lock"


@dataclass(frozen=True)
class RunFolder:
    """The description stored in a run folder."""

    path: Path
    config: TrainConfig
    source: Source  # resolved: with an absolute path and a version
    training: int | None  # number of training samples; None for older runs, which did not record it
    began: Path  # where the data were when the run began
    content: str | None = field(compare=False)  # digest of the data (`Source.content`); None for older runs

    def data_identity(self) -> dict[str, str]:
        """As `Source.identity`, with the path by which data that moved were known first."""
        return self.source.identity() | {"data": str(self.began)}


def open_run(path: str | Path, overrides: dict[str, Any] | None = None) -> RunFolder:
    """Read a run folder; UserError if it has no configuration, or one that cannot be read.

    `overrides` replace fields that only predictions depend on, and `run`, the use of the machine; UserError for other
    fields.
    """
    path = given_path(path)
    file = path / FILE
    if not file.is_file():
        raise UserError(
            f"{path}: expected a run folder with its {FILE}, found none; name the folder given to train --run"
        )
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        config, source, began = config_of(stored["config"]), _source_of(stored), Path(stored["data"])
        run = RunFolder(path, config, source, stored.get("training"), began, stored.get("content"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        line = _in_a_line(error)
        raise UserError(f"{file}: is not the configuration of a run ({line}); restore it, or train again") from None
    return replace(run, config=_with(run, overrides)) if overrides else run


def _with(run: RunFolder, overrides: dict[str, Any]) -> TrainConfig:
    config = run.config
    if fixed := sorted(overrides.keys() - config.predicting - {"run"}):
        free = ", ".join([*sorted(config.predicting), "run"])
        raise UserError(
            f"{fixed[0]}: expected fields among {free} for predictions of {run.path}, a {config.segmenter}; the others "
            "are fixed by its training"
        )
    try:
        return config_of(overlaid(config.model_dump(mode="json"), overrides))
    except ValidationError as error:
        raise UserError(complaints(error)) from None


def _source_of(stored: dict[str, Any]) -> Source:
    """From the values of config.json; older files have a folder's layout in the version, as in 'DUTS-TR:1a2b3c4d'."""
    layout, version = stored.get("layout"), str(stored["version"])
    if "layout" not in stored and ":" in version:
        layout, _, version = version.partition(":")
    return Source(path=Path(stored.get("moved_to") or stored["data"]), layout=layout, version=version)


def create_run(path: Path, config: TrainConfig, source: Source, training: int) -> RunFolder:
    """Create the folder of a new run, or open the one to resume; UserError if it holds another run (`check_run`).

    source: resolved; training: the number of samples to train on. Data at another place than before are resumed with.
    """
    check_run(path, config, source, training)
    path.mkdir(parents=True, exist_ok=True)
    before = open_run(path) if (path / FILE).is_file() else None
    began = before.began if before else source.path
    if before and before.source.path != source.path:
        logger.warning("maskmill: the data of %s moved from %s to %s", path, before.source.path, source.path)
    content = {
        "maskmill_version": installed_version("maskmill"),
        "config": config.model_dump(mode="json"),
        "data": str(began),
        "layout": source.layout,
        "version": source.version,
        "training": training,
        "content": _content_of(source),
    }
    if source.path != began:
        content["moved_to"] = str(source.path)
    with replacing(path / FILE, mark=f".{os.getpid()}") as partial:  # each process of a training writes it
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return open_run(path)


def check_run(path: Path, config: TrainConfig, source: Source, training: int | None = None) -> None:
    """UserError if `path` is a file, a folder of other files, or another run. Writes nothing.

    A run of the same data at another place is the same run. training: the number of samples to train on, if known.
    """

    def is_leftover(name: str) -> bool:  # left by a kill, or about to be renamed by another process of this training
        return name.endswith(".partial") or name == LOCK_FILE

    check_place(path, "run", option="--run", is_ours=lambda run: (run / FILE).is_file(), is_leftover=is_leftover)
    if not (path / FILE).is_file():
        return
    stored = open_run(path)
    if (segmenter := stored.config.segmenter) != config.segmenter:
        raise UserError(
            f"--run {path}: expected a run of {config.segmenter}, found one of {segmenter}; choose another folder"
        )
    now = config.identity() | source.identity()
    if _is_same(stored, source, training):
        now |= {"data": str(stored.began)}
    before = stored.config.identity() | stored.data_identity()
    if changed := _differences(before, now, "is requested"):
        raise UserError(f"--run {path}: holds a run with {changed}; use the run's values, or choose another folder")


def _is_same(run: RunFolder, source: Source, training: int | None) -> bool:
    """Whether a source is the run's data, which may have moved.

    Older runs did not record their content: where their data are gone, version and number of samples decide.
    """
    if source.path == run.source.path:
        return True
    if source.edition() != run.source.edition():
        return False
    content = run.content or _content_of(run.source)
    return training is not None and training == run.training if content is None else content == _content_of(source)


def _content_of(source: Source) -> str | None:
    """Digest of a resolved source's content; None if it cannot be opened."""
    try:
        return source.content()
    except (UserError, OSError):
        return None


def weights_facts(run: RunFolder) -> dict[str, Any]:
    """The facts that identify a run's best weights; reads the header only.

    UserError if there are none yet, if they belong to another segmenter, or if their header has the configuration of
    another run; headers of older runs have no configuration.
    """
    path = run.path / BEST
    if not path.is_file():
        raise UserError(f"{run.path}: expected {BEST}, found none; the training has not reached its first validation")
    try:
        with safe_open(path, "numpy") as file:
            facts = file.metadata() or {}
        config = config_of(json.loads(facts["config"])) if "config" in facts else run.config
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({_in_a_line(error)}); restore it, or train again") from None
    if (segmenter := facts.get("segmenter", "none")) != run.config.segmenter:
        raise UserError(
            f"{path}: expected weights of {run.config.segmenter}, found those of {segmenter}; restore the run's file"
        )
    configs = (config, run.config)
    before, now = ({k: v for k, v in c.identity().items() if k not in c.marked(PLACE)} for c in configs)
    if changed := _differences(before, now, f"is in {FILE}"):
        raise UserError(
            f"{path}: expected this run's weights, found those of a run with {changed}; restore the run's file"
        )
    return facts | {"config": run.config.predicts_by()}


def config_of(values: dict[str, Any]) -> TrainConfig:
    """The configuration of a segmenter, of its class, from plain values; UserError for an unknown segmenter."""
    name = values.get("segmenter")
    if name not in SEGMENTERS:
        raise UserError(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {name!r}")
    return SEGMENTERS[name].model_validate(values, context=STORED)


def _differences(before: dict[str, Any], now: dict[str, Any], said: str) -> str:
    """The values that differ between two identities, as 'seed 0 where 1 is requested'; '' if none differ."""
    changed = sorted(differences(before, now).items())
    return ", ".join(f"{name} {there!r} where {here!r} {said}" for name, (there, here) in changed)


def _in_a_line(error: Exception) -> str:
    return complaints(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
