"""The command line: help, versions, dry runs, what scripts read, and bad input refused before anything is written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from maskmill.cli import app
from models.config.build import BuildConfig
from models.errors import UserError
from storage.dataset.writer import DatasetWriter
from tests.analysis.versions import three_versions
from tests.storage.dataset import fake_build

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [command.callback.__name__ for command in app.registered_commands]


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def build(tiny_folders, tmp_path):
    """Run `maskmill build` with good values but for those given; None leaves an option out."""

    def run_build(*more: object, **options: object):
        good = {"backbone": tiny_folders["sd1"], "classes": "cat,dog", "count": 4, "out": tmp_path / "dataset"}
        values = {name: value for name, value in (good | options).items() if value is not None}
        given = [part for name, value in values.items() for part in (f"--{name}", value)]
        return run("build", *given, "--set", "screen.clip=none", *more)

    return run_build


def refused(result, *words: str) -> None:
    """Exit code 2 and one line on stderr that has all the words."""
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and result.stderr.count("\n") == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command):
    shown = run(command, "--help")
    assert shown.exit_code == 0 and f"Example: maskmill {command}" in " ".join(shown.output.split())


def test_version():
    shown = run("--version")
    assert shown.exit_code == 0 and shown.output.startswith("maskmill ")


BAD = {
    "unknown class for pocket": ([], {"backbone": "pocket", "classes": "ball,cat"}, ["classes", "cat", "ball"]),
    "no class": ([], {"classes": ""}, ["classes"]),
    "an empty class": ([], {"classes": "cat,"}, ["classes", "remove"]),
    "classes not given": ([], {"classes": None}, ["classes", "required"]),
    "a class twice": ([], {"classes": "cat,dog,Cat"}, ["classes", "cat", "once"]),
    "count 0": ([], {"count": 0}, ["count", "greater than or equal to 1"]),
    "a prompt without a category": (["--set", "templates=[a picture]"], {}, ["a picture", "{category}"]),
    "a category too far back": (["--set", f"templates=['{'x ' * 40}{{category}}']"], {}, ["category", "shorten"]),
    "backbone that is nothing": ([], {"backbone": "./nowhere"}, ["backbone", "./nowhere"]),
    "a misspelt key": (["--set", "cut.alhpa=1"], {}, ["cut.alhpa", "spelling"]),
    "a misspelt section": (["--set", "cutt.alpha=1"], {}, ["cutt", "spelling"]),
    "a value out of bounds": (["--set", "cut.tau=2"], {}, ["cut.tau", "2"]),
    "no assignment": (["--set", "cut.tau"], {}, ["cut.tau", "name=value"]),
    "a size the backbone cannot make": (["--set", "sampling.height=100"], {}, ["sampling.height", "100"]),
    "no such device": (["--set", "run.device=tpu"], {}, ["run.device", "tpu"]),
    "no such GPU": (["--set", "run.device=cuda:99"], {}, ["run.device", "cuda:99"]),
    "no config file": (["--config", "nowhere.yaml"], {}, ["nowhere.yaml"]),
    "no such CLIP": (["--set", "screen.clip=nothing:openai"], {}, ["screen.clip", "nothing"]),
    "no such CLIP weights": (["--set", "screen.clip=RN50:/nowhere.pt"], {}, ["screen.clip", "/nowhere.pt"]),
    "an infinite value": (["--set", "cut.alpha=.inf"], {}, ["cut.alpha", "finite"]),
    "true for a number": (["--set", "sampling.steps=true"], {}, ["sampling.steps", "integer", "true"]),
    "true for a number or nothing": (["--set", "sampling.height=true"], {}, ["sampling.height", "integer", "true"]),
    "an address that is none": (["--set", "run.address=nowhere"], {}, ["run.address", "nowhere"]),
    "a million workers": (["--set", "run.workers=1000000"], {}, ["run.workers", "1024"]),
    "a date that cannot be": (["--set", "cut.tau=2024-13-45"], {}, ["cut.tau", "YAML"]),
    "a number that cannot be": (["--set", "seed=!!int x"], {}, ["seed", "YAML"]),
    "a negative affinity": (["--set", "cut.affinity_scale=-5"], {}, ["cut.affinity_scale", "-5"]),
    "a backbone that is a list": (["--set", "backbone=[1]"], {}, ["backbone", "string"]),
    "a backbone without a name": ([], {"backbone": ""}, ["backbone", "1 character"]),
    "one bad template of many": (
        ["--set", f"""templates=[{"'a {category}', " * 20}'{"x " * 40}{{category}}']"""],
        {"count": 200},
        ["category", "shorten"],
    ),
    "a CLIP that does not know the class": (["--set", "screen.clip=pocket"], {}, ["screen.clip", "cat"]),
}


@pytest.mark.parametrize("more, options, words", BAD.values(), ids=BAD)
def test_bad_input_is_refused_before_anything_is_written(build, tmp_path, more, options, words):
    refused(build(*more, **options), *words)
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("file", ["unet/config.json", "vae/diffusion_pytorch_model.safetensors"])
def test_an_incomplete_backbone_is_refused(build, tiny_folders, tmp_path, file):
    copy = shutil.copytree(tiny_folders["sd1"], tmp_path / "copy")
    (copy / file).unlink()
    refused(build(backbone=copy), file, "missing")
    assert not (tmp_path / "dataset").exists()


def test_another_architecture_is_refused(build, tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusion3Pipeline"}))
    refused(build(backbone=tmp_path), "backbone", "StableDiffusion3Pipeline")


def test_a_hub_id_without_network_is_refused(tmp_path):
    """In a process of its own, which sees no network and no cache."""
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    arguments = ["--backbone", "someone/something", "--classes", "cat", "--count", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "maskmill", "build", *arguments],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("maskmill: backbone: 'someone/something'")
    assert not (tmp_path / "out").exists()


def test_a_clip_that_cannot_be_had_is_refused_before_anything_is_written(build, tiny_folders, tmp_path):
    """No network and no cache, in a process of its own; a dry run, which fetches nothing, does not ask for it."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    arguments = ["--backbone", str(tiny_folders["sd1"]), "--classes", "cat", "--count", "1", "--out", "dataset"]
    command = [sys.executable, "-m", "maskmill", "build", *arguments, "--set", "screen.clip=ViT-B-32:openai"]
    environment["PYTHONPATH"] = str(ROOT)
    for more, code in ((["--dry-run"], 0), ([], 2)):
        done = subprocess.run(
            command + more, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith("maskmill: screen.clip: 'ViT-B-32:openai'") and "/path/weights.pt" in told and "none" in told
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    refused(build("--set", f"screen.clip=RN50:{tmp_path / 'weights.pt'}"), "screen.clip", "weights.pt", "the file")
    assert not (tmp_path / "dataset").exists()


def test_a_path_that_holds_something_else_is_refused(build, tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "thesis.tex").write_text("years of work")
    refused(build(), "thesis.tex", "choose")
    assert [p.name for p in (tmp_path / "dataset").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("a file")
    refused(build(out=tmp_path / "file"), "found a file")
    refused(build(out=tmp_path / "file" / "below"), "choose another path")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(build(out=tmp_path / "link"), "broken link")


def test_a_dataset_of_another_config_is_refused(build, tiny_folders, tmp_path):
    config = BuildConfig(classes=("cat", "dog"), count=4, backbone=str(tiny_folders["sd1"]), screen={"clip": "none"})
    stored = config.model_dump(mode="json", by_alias=True)
    with DatasetWriter.open(tmp_path / "dataset", stored, config.identity(), (128, 128), (16, 16), 64, 4):
        pass
    assert build("--dry-run").exit_code == 0
    refused(build("--seed", 3), "seed is 0 there, 3 here", "another path")
    refused(build("--set", "cut.alpha=1"), "cut.alpha is 2.5 there, 1.0 here")
    refused(build(count=2), "count", "give 4 or more")


def planted(monkeypatch, error: Exception) -> None:
    """Have a function that the check of a build comes to raise the error."""

    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr("flows.checks.build.check_target", raising)


@pytest.mark.parametrize("error", [KeyError("name"), RuntimeError("no\nluck"), ValueError("a library's own")])
def test_a_bug_is_called_one_and_its_traceback_kept(build, tmp_path, monkeypatch, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    planted(monkeypatch, error)
    shown = build()
    assert shown.exit_code == 1 and shown.stdout == "" and shown.stderr.count("\n") == 1
    said = " ".join(f"{type(error).__name__}: {error}".split())
    assert shown.stderr.startswith(f"maskmill: this is a bug in maskmill, not in its input: {said}; ")
    (file,) = tmp_path.glob("maskmill-bug-*.txt")
    assert str(file) in shown.stderr and "in raising" in file.read_text() and not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("first", [True, False])
def test_debug_shows_a_bugs_traceback(build, tmp_path, monkeypatch, first):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    planted(monkeypatch, KeyError("name"))
    shown = build("--debug") if not first else run("--debug", "build", "--classes", "ball", "--count", 1, "--out", "x")
    assert shown.exit_code == 1 and "Traceback" in shown.stderr and "in raising" in shown.stderr
    assert "its traceback is above; please report it" in shown.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("maskmill-bug-*"))


def test_a_bug_is_shown_where_no_file_can_be_written(build, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    planted(monkeypatch, KeyError("name"))
    shown = build()
    assert shown.exit_code == 1 and "in raising" in shown.stderr and "its traceback is above" in shown.stderr


def test_what_a_user_can_mend_is_one_line_with_debug_too(build, tmp_path, monkeypatch):
    refused(build("--debug", "--set", "cut.tau=2"), "cut.tau")
    planted(monkeypatch, UserError("expected one,\ngot two; give one"))
    refused(build(), "maskmill: expected one, got two; give one")
    planted(monkeypatch, PermissionError(13, "Permission denied", "out"))
    refused(build(), "Permission denied: 'out'")


@pytest.mark.parametrize("command", ["info", "report", "recut"])
def test_a_path_without_a_dataset_is_refused(tmp_path, command):
    refused(run(command, tmp_path), "expected a maskmill dataset")
    assert not list(tmp_path.iterdir())


def test_a_report_compares_with_another_version_that_is_there(tmp_path):
    three_versions(tmp_path)
    refused(run("report", tmp_path, "--compare", "v3"), "--compare v3: is the version of the report itself")
    refused(run("report", tmp_path, "--version", "v2", "--compare", "v2"), "name another")
    refused(run("report", tmp_path, "--compare", "v9"), "no version v9", "expected v1, v2, v3")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("wrong", ["device=cuda:99", "start=/nowhere", "scenes=1"])
def test_a_pretraining_that_cannot_start_is_refused(tmp_path, wrong):
    refused(run("pretrain", "--run", tmp_path / "run", "--out", tmp_path / "out", "--set", wrong), wrong.split("=")[0])
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_the_plan_and_writes_nothing(build, tmp_path):
    shown = build("--dry-run", "--set", "sampling.keep_pooled=true")
    assert shown.exit_code == 0, shown.output
    for word in ("128x128", "16x16", "4 of 2 classes", "disk", "memory", str(tmp_path / "dataset")):
        assert word in shown.output
    assert (
        "including 136 kB of attention kept for recuts" in shown.output
    )  # (256 columns + 10 layers) * 256 cells * 2 bytes
    assert not list(tmp_path.iterdir())


def test_choices_come_in_layers(build, tmp_path):
    """File below options below --set, each seen in the dry run."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"count": 9, "shard_size": 5, "sampling": {"steps": 7, "guidance": 2.5}}))
    layered = build("--config", file, "--dry-run", "--set", "sampling.steps=6", count=None).output
    assert "9 of 2 classes in 2 shards of 5, 6 steps each, guidance 2.5" in layered
    layered = build("--config", file, "--dry-run", "--shard-size", 2).output
    assert "4 of 2 classes in 2 shards of 2, 7 steps each" in layered
    file.write_text("- not a mapping")
    refused(build("--config", file), "expected a mapping")


def test_info_as_json_has_what_scripts_read(tmp_path):
    with fake_build.open_writer(tmp_path, 10) as writer:
        fake_build.finish(writer)
    facts = json.loads(run("info", tmp_path, "--json").output)
    assert set(facts) == {
        "version", "versions", "planned", "kept", "rejected", "failed", "unfinished", "image_size", "prompts", "config",
    }  # fmt: skip
    assert (facts["version"], facts["versions"], facts["planned"], facts["failed"]) == ("v1", ["v1"], 10, 1)
    assert facts["rejected"] == {"too small": 2} and facts["kept"] == 7 and facts["unfinished"] == 0
    assert facts["image_size"] == [16, 24] and facts["config"] == fake_build.config(10)
    told = run("info", tmp_path).output
    assert "version   v1" in told and "2 too small" in told
