"""What scripts rely on, as it was at commit fc9895f: commands and options, JSON keys, tables, Python calls, fields.

What stands here may be added to. Nothing of it may go, change its default or its type: a script somewhere reads it.
tests/held/configs.json has that commit's configurations, one a line; `free` are the fields that a resumed run may
change.
"""

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from maskmill.cli import app
from models.config.base import STORED, Config
from models.config.build import BuildConfig
from models.config.export import ExportConfig
from models.config.photos import MaskConfig
from models.config.statistics import StatisticsConfig
from models.cut.attentioncut import attentioncut
from models.mappings import overlaid
from models.pocket.config import PretrainConfig
from models.segmenters.registry import SEGMENTERS
from storage.dataset.reader import Dataset, open_dataset
from tests.storage.dataset import fake_build

ROOT = Path(__file__).resolve().parent.parent
COMMAND = typer.main.get_command(app)

# Arguments stand in brackets, in their order; then options with their defaults, "required" for those without.
COMMANDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "build": (
        [],
        {
            "--out": "required", "--backbone": None, "--classes": None, "--count": None, "--seed": None,
            "--shard-size": None, "--workers": None, "--config": None, "--set": [], "--dry-run": False,
        },
    ),
    "info": (["path"], {"--json": False}),
    "recut": (["path"], {"--set": []}),
    "report": (["path"], {"--version": None, "--compare": None}),
    "statistics": (
        ["data"],
        {"--out": "required", "--reference": None, "--version": None, "--config": None, "--set": []},
    ),
    "export": (
        ["path"],
        {
            "--format": "required", "--out": "required", "--version": None, "--split": None, "--seed": None,
            "--overwrite": False,
        },
    ),
    "mask": (
        ["photos..."],
        {"--out": "masks", "--backbone": None, "--class": None, "--no-prior": False, "--config": None, "--set": []},
    ),
    "train": (
        ["segmenter"],
        {"--run": "required", "--data": None, "--folder": None, "--version": None, "--config": None, "--set": []},
    ),
    "predict": (["run", "photos..."], {"--out": "required", "--class": None, "--set": []}),
    "evaluate": (["runs..."], {"--benchmark": "required", "--out": "required", "--worst": 12, "--set": []}),
    "pretrain": ([], {"--run": "runs/pretrain", "--out": "runs/pretrain/weights", "--config": None, "--set": []}),
    "bench": (["name"], {"--count": None, "--photos": None}),
}  # fmt: skip
REPEATED = {"--set", "--benchmark"}
NOWHERE = {
    "build": ["--classes", "ball", "--count", "1", "--config", "nowhere.yaml", "--out", "out"],
    "info": ["nowhere"],
    "recut": ["nowhere"],
    "report": ["nowhere"],
    "statistics": ["nowhere", "--out", "out"],
    "export": ["nowhere", "--format", "coco", "--out", "out"],
    "mask": ["nowhere.png", "--out", "out"],
    "train": ["unet", "--data", "nowhere", "--run", "out"],
    "predict": ["nowhere", "nowhere.png", "--out", "out"],
    "evaluate": ["nowhere", "--benchmark", "ECSSD=nowhere", "--out", "out"],
    "pretrain": ["--config", "nowhere.yaml", "--run", "out", "--out", "out"],
    "bench": ["nowhere"],
}
INFO = {
    "version": str, "versions": list, "planned": int, "kept": int, "rejected": dict, "failed": int, "unfinished": int,
    "image_size": list, "prompts": dict, "config": dict,
}  # fmt: skip
PROMPTS = {"sources", "no_key_for", "requests", "tokens", "accepted", "rejected", "diversity"}
DIVERSITY = {"prompts", "measured", "distinct_1", "distinct_2", "distinct_3", "embedding", "spread", "spread_within"}
COLUMNS = {
    "status": "str", "category": "str", "phrase": "str", "prompt": "str", "prompt_source": "str", "seed": "int64",
    "reason": "str", "clip_score": "float32", "uncertainty": "float32", "energy": "float32", "area": "float32",
    "border": "float32", "num_components": "int32", "entropy": "float32", "similarity": "float32", "box": "object",
    "num_clamped": "int32", "bilateral_refused": "bool",
}  # fmt: skip
SAMPLE = {
    "index": int, "image": np.ndarray, "mask": np.ndarray, "category": str, "phrase": str, "prompt": str,
    "prompt_source": str, "seed": int, "status": str, "reason": str, "clip_score": float, "uncertainty": float,
    "energy": float, "area": float, "border": float, "num_components": int, "entropy": float, "similarity": float,
    "box": tuple, "num_clamped": int, "bilateral_refused": bool,
}  # fmt: skip
GROUP = {  # of images (16, 24) and maps (2, 3)
    "image": ((16, 24, 3), "uint8"), "mask": ((16, 24), "bool"), "objectness": ((2, 3), "float32"),
    "class_map": ((2, 3), "float32"), "refined": ((2, 3), "float32"), "affinities": ((4, 2, 3), "float32"),
    "status": ((), "uint8"), "box": ((4,), "int32"), "seed": ((), "int64"), "area": ((), "float32"),
}  # fmt: skip
CONFIGS = [json.loads(line.rstrip(",")) for line in (ROOT / "tests/held/configs.json").read_text().splitlines()[1:-1]]
STAGES: dict[str, type[Config]] = {
    "build": BuildConfig,
    "mask": MaskConfig,
    "export": ExportConfig,
    "statistics": StatisticsConfig,
    "pretrain": PretrainConfig,
    **SEGMENTERS,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten samples, two of them rejected and one failed."""
    path = tmp_path_factory.mktemp("held") / "dataset"
    with fake_build.open_writer(path, 10) as writer:
        fake_build.finish(writer)
    return open_dataset(path)


def shown(default: Any) -> Any:
    return str(default) if isinstance(default, Path) else default


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_arguments_and_its_options_with_their_defaults(name: str) -> None:
    arguments, options = COMMANDS[name]
    parameters = COMMAND.commands[name].params
    given = [p for p in parameters if p.param_type_name == "argument"]
    assert [f"{p.name}{'...' if p.nargs == -1 else ''}" for p in given] == arguments
    there = {opt: p for p in parameters if p.param_type_name == "option" for opt in p.opts}
    assert {opt: "required" if there[opt].required else shown(there[opt].default) for opt in options} == options
    assert all(there[opt].multiple == (opt in REPEATED) for opt in options)
    assert not [opt for opt, p in there.items() if p.required and opt not in options]


def test_the_version_is_asked_for_as_before() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.startswith("maskmill ")


@pytest.mark.parametrize("name", NOWHERE)
def test_what_is_not_there_is_bad_input_and_writes_nothing(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [name, *NOWHERE[name]])
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and result.stderr.startswith("maskmill: ") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def mentioned() -> Iterator[tuple[str, str, str]]:
    """(file, command, option) of every command line in README and docs."""
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for line in re.findall(r"\bmaskmill ((?:[a-z]+) [^`#\n|]*)", file.read_text(encoding="utf-8")):
            name, *words = line.split()
            if name in COMMANDS:
                yield from ((file.name, name, word) for word in words if re.fullmatch(r"--[a-z][a-z-]+", word))


def test_readme_and_docs_name_options_that_there_are() -> None:
    lines = set(mentioned())
    assert len(lines) > 30
    there = {n: {opt for p in c.params for opt in p.opts} for n, c in COMMAND.commands.items()}
    assert not sorted(line for line in lines if line[2] not in there[line[1]])


def test_info_as_json_has_its_keys(dataset: Dataset) -> None:
    facts = json.loads(CliRunner().invoke(app, ["info", str(dataset.path), "--json"]).output)
    assert {name: type(facts[name]) for name in INFO} == INFO
    assert facts["rejected"] == {"too small": 2}
    assert facts["prompts"].keys() >= PROMPTS and facts["prompts"]["diversity"].keys() >= DIVERSITY


def test_the_table_has_its_columns_in_their_order(dataset: Dataset) -> None:
    frame = dataset.frame()
    assert [name for name in frame.columns if name in COLUMNS] == list(COLUMNS)
    assert {name: str(frame[name].dtype) for name in COLUMNS} == COLUMNS
    assert frame.index.name == "index" and isinstance(frame, pd.DataFrame)
    assert all(isinstance(box, tuple) and len(box) == 4 for box in frame["box"])
    assert set(frame["status"]) == {"kept", "rejected", "failed"}


def test_a_sample_has_its_attributes(dataset: Dataset) -> None:
    sample = dataset[1]
    assert {name: type(getattr(sample, name)) for name in SAMPLE} == SAMPLE
    assert (sample.image.shape, sample.image.dtype, sample.mask.shape, sample.mask.dtype) == (
        (16, 24, 3), np.uint8, (16, 24), np.bool_,
    )  # fmt: skip
    assert dataclasses.is_dataclass(sample) and dataset[-1].index == 9


def test_a_dataset_has_its_attributes(dataset: Dataset) -> None:
    assert (dataset.version, dataset.versions, len(dataset), dataset.image_size) == ("v1", ("v1",), 10, (16, 24))
    assert dataset.config == fake_build.config(10) and dataset.statistics == {"planned": 10}
    assert dataset.kept().tolist() == [0, 2, 4, 5, 7, 8, 9] and isinstance(dataset.maskmill_version, str)
    assert list(inspect.signature(open_dataset).parameters) == ["path", "version"]
    with pytest.warns(DeprecationWarning, match="prompt_store"):
        assert dataset.bank("prompts").empty


def test_the_zarr_group_has_its_arrays(dataset: Dataset) -> None:
    assert dataset.group.read_only and set(dataset.group.array_keys()) >= {*GROUP, *COLUMNS}
    arrays = {name: np.asarray(dataset.group[name][:]) for name in GROUP}
    assert {name: (values.shape[1:], str(values.dtype)) for name, values in arrays.items()} == GROUP


def test_attentioncut_is_called_as_before() -> None:
    parameters = inspect.signature(attentioncut).parameters.values()
    assert [p.name for p in parameters if p.default is p.empty] == ["image", "class_map", "self_attention", "config"]


def todays(kind: type[Config], names: set[str]) -> set[str]:
    """Dotted names of fields under those of today."""
    sections = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    found: set[str] = set()
    for name in names:
        head, _, rest = name.partition(".")
        head = kind.renamed.get(head, head)
        section = sections[head]
        if rest and isinstance(section, type) and issubclass(section, Config):
            (rest,) = todays(section, {rest})
        found.add(f"{head}.{rest}" if rest else head)
    return found


def leaves(tree: dict[str, Any], prefix: str = "") -> set[str]:
    parts = (leaves(v, f"{prefix}{k}.") if isinstance(v, dict) and v else {prefix + k} for k, v in tree.items())
    return set().union(*parts)


@pytest.mark.parametrize("held", CONFIGS, ids=lambda held: f"{held['stage']} {held['given']}")
def test_a_configuration_takes_every_field_it_took_and_has_its_defaults(held: dict[str, Any]) -> None:
    kind = STAGES[held["stage"]]
    given = held["given"]
    if "cut" in held["config"]:  # there were no other thresholds
        given = overlaid(given, {"cut": {"thresholds": "paper"}})
    assert kind.model_validate(held["config"]) == kind.model_validate(given)
    assert kind.model_validate(held["config"], context=STORED) == kind.model_validate(given)


@pytest.mark.parametrize("held", [each for each in CONFIGS if "free" in each], ids=lambda held: str(held["stage"]))
def test_what_a_resumed_run_may_change_is_what_it_was(held: dict[str, Any]) -> None:
    kind = STAGES[held["stage"]]
    before, free = todays(kind, leaves(held["config"])), todays(kind, set(held["free"]))
    compared = leaves(kind.model_validate(held["config"], context=STORED).identity())
    assert not compared & free
    assert compared >= before - free
