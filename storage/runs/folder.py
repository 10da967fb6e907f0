"""A run folder's description: which segmenter was trained with which configuration on how much of what.

Imports no torch; the weights are in storage/runs/checkpoints.py. Knows nothing of training.
"""

import json
import os
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from models.config.base import PLACE, STORED, overlaid
from models.config.difference import differences
from models.config.overrides import complaints
from models.config.training import TrainConfig
from models.errors import UserError
from models.segmenters.registry import SEGMENTERS
from storage.atomic import replacing
from storage.places import check_place
from storage.sources import Source

FILE, BEST, LOCK_FILE = "config.json", "best.safetensors", "train.lock"


@dataclass(frozen=True)
class RunFolder:
    """What a run folder says of itself."""

    path: Path
    config: TrainConfig
    source: Source  # resolved: by its absolute path, its version told
    training: int | None  # samples trained on; None of a run made before this was noted


def open_run(path: str | Path, overrides: dict[str, Any] | None = None) -> RunFolder:
    """Read a run folder; UserError where it has no configuration, or one that cannot be read.

    `overrides` take the place of what it says of the machine's use (`run`) and of fields that predictions alone depend
    on; UserError for others.
    """
    path = Path(path)
    file = path / FILE
    if not file.is_file():
        raise UserError(
            f"{path}: expected a run folder with its {FILE}, found none; name the folder given to train --run"
        )
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        run = RunFolder(path, config_of(found["config"]), _source_of(found), found.get("training"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        line = _in_a_line(error)
        raise UserError(f"{file}: is not the configuration of a run ({line}); restore it, or train anew") from None
    return replace(run, config=_with(run, overrides)) if overrides else run


def _with(run: RunFolder, overrides: dict[str, Any]) -> TrainConfig:
    config = run.config
    if fixed := sorted(overrides.keys() - config.predicting - {"run"}):
        free = ", ".join([*sorted(config.predicting), "run"])
        raise UserError(
            f"{fixed[0]}: predictions of {run.path}, a {config.segmenter}, can be given {free} alone; the rest is as "
            "it was trained"
        )
    try:
        return config_of(overlaid(config.model_dump(mode="json"), overrides))
    except ValidationError as error:
        raise UserError(complaints(error)) from None


def _source_of(found: dict[str, Any]) -> Source:
    """Of a config.json's values; older ones have a folder's layout within the version, as in 'DUTS-TR:1a2b3c4d'."""
    layout, version = found.get("layout"), str(found["version"])
    if "layout" not in found and ":" in version:
        layout, _, version = version.partition(":")
    return Source(path=Path(found["data"]), layout=layout, version=version)


def create_run(path: Path, config: TrainConfig, source: Source, training: int) -> RunFolder:
    """The folder of a new run, or of one to resume; UserError where another run lies there (`check_run`).

    source: resolved; training: the number of samples to train on.
    """
    check_run(path, config, source)
    path.mkdir(parents=True, exist_ok=True)
    content = {
        "maskmill_version": installed_version("maskmill"),
        "config": config.model_dump(mode="json"),
        "data": str(source.path),
        "layout": source.layout,
        "version": source.version,
        "training": training,
    }
    with replacing(path / FILE, mark=f".{os.getpid()}") as partial:  # each process of a training writes it
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return open_run(path)


def check_run(path: Path, config: TrainConfig, source: Source) -> None:
    """UserError where `path` cannot hold this run: a file, a folder of other things, another run. Writes nothing."""

    def is_leftover(name: str) -> bool:  # of a kill, or what another process of this training is about to rename
        return name.endswith(".partial") or name == LOCK_FILE

    check_place(path, "run", option="--run", is_ours=lambda run: (run / FILE).is_file(), is_leftover=is_leftover)
    if not (path / FILE).is_file():
        return
    stored = open_run(path)
    before = stored.config.identity() | stored.source.identity()
    if (kind := stored.config.segmenter) != config.segmenter:
        raise UserError(
            f"--run {path}: holds a run of {kind} where {config.segmenter} is asked for; choose another folder"
        )
    now = config.identity() | source.identity()
    if found := _differences(before, now, "is asked for"):
        raise UserError(f"--run {path}: holds a run with {found}; leave them, or choose another folder")


def weights_facts(run: RunFolder) -> dict[str, Any]:
    """What tells a run's best weights from others; reads the header only.

    UserError where there are none yet, and for those of another segmenter or, where the header says how they were
    trained, as those of runs made before it did do not, of a run with another configuration.
    """
    path = run.path / BEST
    if not path.is_file():
        raise UserError(f"{run.path}: expected {BEST}, found none; the training has not come to its first validation")
    try:
        with safe_open(path, "numpy") as file:
            facts = file.metadata() or {}
        config = config_of(json.loads(facts["config"])) if "config" in facts else run.config
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({_in_a_line(error)}); restore it, or train again") from None
    if (kind := facts.get("segmenter", "none")) != run.config.segmenter:
        raise UserError(f"{path}: expected weights of {run.config.segmenter}, found those of {kind}; restore its own")
    configs = (config, run.config)
    before, now = ({k: v for k, v in each.identity().items() if k not in each.marked(PLACE)} for each in configs)
    if found := _differences(before, now, f"is in {FILE}"):
        raise UserError(f"{path}: expected this run's weights, found those of one with {found}; restore its own")
    return facts | {"config": run.config.predicts_by()}


def config_of(values: dict[str, Any]) -> TrainConfig:
    """The segmenter's own configuration from plain values; UserError for a segmenter there is not."""
    name = values.get("segmenter")
    if name not in SEGMENTERS:
        raise UserError(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {name!r}")
    return SEGMENTERS[name].model_validate(values, context=STORED)


def _differences(before: dict[str, Any], now: dict[str, Any], said: str) -> str:
    """The values that differ between two identities, as 'seed 0 where 1 is asked for'; empty where none does."""
    changed = sorted(differences(before, now).items())
    return ", ".join(f"{name} {there!r} where {here!r} {said}" for name, (there, here) in changed)


def _in_a_line(error: Exception) -> str:
    return complaints(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
