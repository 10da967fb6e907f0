"""Runs that stop half way end with one line and exit code 1, and the same command resumes; a bug is shown whole."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from flows.server.configured import check_server
from maskmill.cli import app
from models.errors import UserError
from storage.dataset.reader import open_dataset
from tests.flows.conftest import assert_equal

BUG = "maskmill: this is a bug in maskmill, not in its input: "


def broken(arguments: list, function: str, error: Exception) -> str:
    """Run maskmill with a function, by its dotted name, that raises; what it said, after exit code 1."""

    def planted(*_: object, **__: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function, planted)
        result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 1, result.output
    return result.stderr


def is_kept(said: str, error: Exception) -> bool:
    """Whether the last line calls the error a bug, and the file that it names has the traceback."""
    line = said.splitlines()[-1]
    told = " ".join(f"{type(error).__name__}: {error}".split())
    assert line.startswith(f"{BUG}{told}; its traceback is in ") and "please report" in line, line
    assert line.endswith("; committed work is kept")
    text = Path(re.search(r"traceback is in (\S+);", line)[1]).read_text()
    return "in planted" in text and type(error).__name__ in text and "Traceback" in text


def test_a_build_that_stops_resumes_to_what_it_would_have_been(config, built, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    build = ["build", "--config", tmp_path / "config.yaml", "--out", tmp_path / "dataset"]
    noise, cut = "models.backbone.sampling.noise", "models.cut.attentioncut.cut"
    publish = "storage.dataset.writer.DatasetWriter.publish"
    said = broken(build, noise, UserError("expected noise,\ngot none; make some"))
    assert said.splitlines()[-1] == "maskmill: failed: expected noise, got none; make some; committed work is kept"
    said = broken(build, noise, OSError("disk full"))
    assert said.splitlines()[-1] == "maskmill: failed: disk full; committed work is kept, the same command resumes"
    said = broken([*build, "--debug"], noise, ValueError("a library's"))
    assert "in planted" in said and "Traceback" in said and said.splitlines()[-1].startswith(BUG)
    said = broken(build, cut, MemoryError("4 GB"))
    assert said.splitlines()[-1].startswith("maskmill: out of memory (MemoryError: 4 GB); ")
    assert not list(tmp_path.glob("maskmill-bug-*"))
    for place, error in ((cut, RuntimeError("a\ngraph")), (publish, KeyError("tag"))):
        assert is_kept(broken(build, place, error), error)
    assert len(list(tmp_path.glob("maskmill-bug-*.txt"))) == 2
    assert CliRunner().invoke(app, [str(a) for a in build]).exit_code == 0
    assert_equal(tmp_path / "dataset", built)


def test_a_recut_that_stops_leaves_the_version_before(built, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out = shutil.copytree(built, tmp_path / "dataset")
    error = ValueError("no graph")
    assert is_kept(broken(["recut", out, "--set", "cut.alpha=1"], "models.cut.attentioncut.cut", error), error)
    assert_equal(out, built)
    assert open_dataset(out).versions == ("v1",)


def test_a_recut_that_this_machine_cannot_screen_is_refused_unbegun(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "dataset")
    for wrong in ("screen.clip=nothing:openai", "run.device=cuda:99"):
        assert CliRunner().invoke(app, ["recut", str(out), "--set", wrong]).exit_code == 2
    assert open_dataset(out, "build").frame().equals(open_dataset(built).frame())


def test_a_pretraining_that_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pretrain = ["pretrain", "--run", tmp_path / "run", "--out", tmp_path / "weights"]
    error = ValueError("no scene")
    assert is_kept(broken(pretrain, "models.pocket.stages.scenes_of", error), error)


def test_a_configured_server_that_does_not_answer_is_named():
    check_server()  # the tests' own
    settings = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
    with (
        settings,
        pytest.raises(UserError, match="PREFECT_API_URL: no Prefect server answers at http://127.0.0.1:9/api"),
    ):
        check_server()
