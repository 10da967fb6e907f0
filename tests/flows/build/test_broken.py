"""Runs that break off: by the command line they end with one line and exit code 1, and the same command goes on."""

import shutil

import pytest
import yaml
from typer.testing import CliRunner

from maskmill.cli import app
from storage.dataset.reader import open_dataset
from tests.flows.conftest import assert_equal


def broken(arguments: list, function: str, error: Exception) -> str:
    """Run maskmill with a function, by its dotted name, that raises; the line it ends with, after exit code 1."""

    def raising(*_: object, **__: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function, raising)
        result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 1, result.output
    return result.stderr.splitlines()[-1]


def test_a_build_that_breaks_off_goes_on_to_what_it_would_have_been(config, built, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    build = ["build", "--config", tmp_path / "config.yaml", "--out", tmp_path / "dataset"]
    said = broken(build, "models.backbone.sampling.noise", ValueError("no such noise"))
    assert said.startswith("maskmill: broke off: no such noise; what is committed is kept")
    said = broken(build, "models.cut.attentioncut.cut", RuntimeError("a\ngraph"))
    assert said.startswith("maskmill: broke off: RuntimeError: a graph; ")
    said = broken(build, "storage.dataset.writer.DatasetWriter.publish", KeyError("tag"))
    assert said.startswith("maskmill: broke off: KeyError: 'tag'; ")
    assert CliRunner().invoke(app, [str(a) for a in build]).exit_code == 0
    assert_equal(tmp_path / "dataset", built)


def test_a_recut_that_breaks_off_leaves_the_version_before(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "dataset")
    said = broken(["recut", out, "--set", "cut.alpha=1"], "models.cut.attentioncut.cut", ValueError("no graph"))
    assert said.startswith("maskmill: broke off: no graph; ")
    assert_equal(out, built)
    assert open_dataset(out).versions == ("v1",)


def test_a_recut_that_this_machine_cannot_screen_is_refused_unbegun(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "dataset")
    for wrong in ("screen.clip=nothing:openai", "run.device=cuda:99"):
        assert CliRunner().invoke(app, ["recut", str(out), "--set", wrong]).exit_code == 2
    assert open_dataset(out, "build").frame().equals(open_dataset(built).frame())


def test_a_pretraining_that_breaks_off(tmp_path):
    pretrain = ["pretrain", "--run", tmp_path / "run", "--out", tmp_path / "weights"]
    said = broken(pretrain, "models.pocket.stages.scenes_of", ValueError("no scene"))
    assert said.startswith("maskmill: broke off: no scene; ")
