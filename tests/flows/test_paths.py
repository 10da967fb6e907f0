"""Every door takes `~` for the home folder: each command's options, each flow's form, the API of Python."""

import inspect
import typing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import maskmill
from benchmarks.rendered import rendered_dataset
from maskmill.cli import COMMANDS, app
from maskmill.commands.options import with_given_paths
from models.errors import UserError
from models.paths import GivenPath

FLOWS = ("build", "evaluate", "export", "mask", "mend", "predict", "pretrain", "recut", "report", "statistics", "train")
DOORS = {name: name for name in FLOWS} | {"extend": "build"}


def paths_of(command: typing.Callable[..., None]) -> Iterator[tuple[str, bool]]:
    """The parameters of a command that are paths, and whether each takes several."""
    for name, kind in typing.get_type_hints(command).items():
        if kind in (Path, Path | None):
            yield name, False
        elif kind == list[Path]:
            yield name, True


@pytest.mark.parametrize("command", [command for _, command, _ in COMMANDS], ids=lambda command: command.__name__)
def test_each_command_is_given_the_home_folder(home, command):
    """Through the wrapper that the table of commands puts around each."""
    asked = {}

    def stub(**options: object) -> None:
        asked.update(options)

    given = {name: [Path("~/x"), Path("y")] if several else Path("~/x") for name, several in paths_of(command)}
    assert given
    with_given_paths(stub)(**given, word="~/x")
    for name, value in given.items():
        assert asked[name] == ([home / "x", Path("y")] if isinstance(value, list) else home / "x")
    assert asked["word"] == "~/x"
    registered = next(c.callback for c in app.registered_commands if c.callback.__name__ == command.__name__)
    assert inspect.unwrap(registered) is command and registered.__wrapped__.__wrapped__ is command


LINES = [
    ["info", "~/x"],
    ["report", "~/x"],
    ["recut", "~/x"],
    ["export", "~/x", "--format", "coco", "--out", "~/y"],
    ["statistics", "~/x", "--out", "~/y"],
    ["statistics", "DUTS-TR=~/x", "--out=~/y"],
    ["mask", "~/x.jpg", "--out", "~/y"],
    ["train", "unet", "--data", "~/x", "--run", "~/y"],
    ["train", "unet", "--folder", "folder=~/x", "--run", "~/y"],
    ["predict", "~/x", "photo.jpg", "--out", "~/y"],
    ["evaluate", "~/x", "--benchmark", "ECSSD=~/x", "--out", "~/y"],
    ["build", "--config", "~/x.yaml", "--out", "~/y"],
    ["build", "--classes", "~/x.txt", "--count", "1", "--out", "~/y"],
    ["build", "--classes", "ball", "--count", "1", "--backbone", "~/x", "--out", "~/y"],
    ["mask", "photo.jpg", "--set", "prior.clip=ViT-B-32:~/x.pt", "--backbone", "~/x", "--out", "~/y"],
]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_what_is_missing_at_home_is_missed_there(home, line):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("photo.jpg")
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 2 and f"{home}/x" in result.output.replace("\n", " ")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["photo.jpg"] and not list(home.iterdir())


@pytest.mark.parametrize("out", ["--out=file:///x", "--out=s3://x/y", "--out=~nobody-of-this-name/x"])
def test_what_cannot_be_a_path_is_refused_before_anything_is_written(home, out):
    result = CliRunner().invoke(app, ["build", "--classes", "ball", "--count", "1", out])
    assert result.exit_code == 2 and "expected a path" in result.output and not list(Path.cwd().iterdir())


@pytest.mark.parametrize("name", DOORS)
def test_each_flow_takes_it_in_a_form(home, name):
    """As a deployment's parameters are read: every parameter that is a path, or has one in it, is a GivenPath."""
    from importlib import import_module

    flow = getattr(import_module(f"flows.{DOORS[name]}"), name)
    hints = typing.get_type_hints(flow.fn, include_extras=True)
    hints.pop("return")
    assert not [name for name, hint in hints.items() if Path in (hint, *typing.get_args(hint)) and hint != GivenPath]
    read = {name: "~/x" for name, hint in hints.items() if hint == GivenPath}
    read |= {name: ["~/x"] for name, hint in hints.items() if hint == list[GivenPath]}
    read |= {name: {"ECSSD": "~/x"} for name, hint in hints.items() if hint == dict[str, GivenPath]}
    forms = {
        "config": {"classes": ["ball"], "count": 1},
        "by": 1,
        "subject": {"path": "~/x"},
        "source": {"path": "~/x"},
    }
    if name in ("mask", "pretrain", "statistics"):
        forms["config"] = {}
    elif name == "export":
        forms["config"] = {"format": "coco"}
    elif name == "train":
        forms["config"] = {"segmenter": "unet"}
    elif name == "mend":
        forms["source"] |= {"format": "cvat"}
    valid = flow.validate_parameters(read | {name: value for name, value in forms.items() if name in hints})
    for value in (valid[name] for name in read):
        assert value in (home / "x", [home / "x"], {"ECSSD": home / "x"})
    for name in {"subject", "source"} & valid.keys():
        assert valid[name].path == home / "x"


def test_pythons_doors_take_it(home):
    rendered_dataset(home / "shapes", 3)
    assert maskmill.open_dataset("~/shapes").path == home / "shapes"
    assert len(maskmill.KeptSamples("~/shapes", "v1", np.arange(2))) == 2
    assert maskmill.KeptSamples("~/shapes", "v1", np.arange(2))[1]["index"] == 1
    assert maskmill.diff("~/shapes", "v1", "v1").empty
    with pytest.raises(UserError, match=f"{home}/photos"):
        maskmill.open_folder("folder", "~/photos")
    with pytest.raises(UserError, match=f"{home}/run"):
        maskmill.load_segmenter("~/run")
    with pytest.raises(UserError, match=f"{home}/shapes"):
        maskmill.build(maskmill.BuildConfig(classes=("ball",), count=1), "~/shapes")
