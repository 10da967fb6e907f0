"""A segmenter of one file and one line of the table goes through training, prediction and evaluation."""

import importlib
import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import flows.train
import maskmill.cli
import maskmill.commands.segmenters
from benchmarks.rendered import rendered_dataset, rendered_folder
from models.segmenters import registry
from storage.runs.checkpoints import load_segmenter
from tests.models.segmenters import toy


@pytest.fixture
def registered(monkeypatch):
    """The table with one more line, as in a process that began so."""
    with monkeypatch.context() as patch:
        patch.setattr(registry, "TABLE", (*registry.TABLE, toy.ToyConfig))
        patch.setitem(registry.SEGMENTERS, "toy", toy.ToyConfig)
        patch.setattr(registry, "SegmenterConfig", registry.any_of(registry.TABLE))
        importlib.reload(flows.train)
        importlib.reload(maskmill.commands.segmenters)
        importlib.reload(maskmill.cli)
        yield
    importlib.reload(flows.train)
    importlib.reload(maskmill.commands.segmenters)
    importlib.reload(maskmill.cli)


def invoke(*arguments: object):
    return CliRunner().invoke(maskmill.cli.app, [str(a) for a in arguments])


def test_a_toy_is_trained_predicts_and_is_evaluated(registered, tmp_path):
    data, photos = rendered_dataset(tmp_path / "data", 8), rendered_folder(tmp_path / "photos", 5, seed=9)
    options = ("--set", "learning_rate=0.3", "--set", "batch_size=4", "--set", "epochs=4")
    assert "unet, deeplabv3 or toy." in " ".join(invoke("train", "--help").output.replace("│", " ").split())
    for run, source in (("on-data", ("--data", data)), ("on-photos", ("--folder", f"folder={photos}"))):
        done = invoke("train", "toy", *source, "--run", tmp_path / run, *options)
        assert done.exit_code == 0, done.output
        assert type(load_segmenter(tmp_path / run)) is toy.Segmenter
        losses = [json.loads(row)["loss"] for row in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        assert len(losses) == 4 and losses[-1] < losses[0]
    done = invoke("predict", tmp_path / "on-data", photos / "images", "--out", tmp_path / "out")
    assert done.exit_code == 0 and "predicted 5, before 0, failed 0" in done.output, done.output
    runs = (tmp_path / "on-data", tmp_path / "on-photos")
    done = invoke("evaluate", *runs, "--benchmark", f"folder={photos}", "--out", tmp_path / "scores")
    assert done.exit_code == 0 and "scored 10, before 0, failed 0" in done.output, done.output
    summary = pd.read_csv(tmp_path / "scores" / "summary.csv")
    assert list(summary["segmenter"]) == ["toy", "toy"] and summary["iou"].between(0, 1).all()


def test_what_a_toy_checks_is_refused_before_anything_is_written(registered, tmp_path):
    photos = rendered_folder(tmp_path / "photos", 3, seed=9)
    done = invoke("train", "toy", "--folder", f"folder={photos}", "--run", tmp_path / "run", "--set", "batch_size=1")
    assert done.exit_code == 2 and "least: expected 3 samples or more, got 2" in done.output
    assert not (tmp_path / "run").exists()


def test_without_its_line_it_is_unknown(tmp_path):
    done = invoke("train", "toy", "--data", tmp_path, "--run", tmp_path / "run")
    assert done.exit_code == 2 and "segmenter: expected one of diffusionseg" in done.output
