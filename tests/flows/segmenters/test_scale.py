"""Frozen encoders and data scale through the command line: trained, predicted with, compared, drawn, and refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import analysis.figures
from benchmarks.rendered import rendered_dataset
from maskmill.cli import app
from models.segmenters.encoders import load_encoder

CHOICES = {
    "encoder": "timm:test_vit", "weights": "random", "widths": "[4,4]", "epochs": 1, "batch_size": 2,
    "run.device": "cpu", "run.batch_size": 3,
}  # fmt: skip


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def train(run, *source: object, **choices: object):
    options = [part for name, value in (CHOICES | choices).items() for part in ("--set", f"{name}={value}")]
    return invoke("train", "encoder", *source, "--run", run, *options)


def write_pairs(folder):
    rng = np.random.default_rng(0)
    for i in range(6):
        mask = np.zeros((40, 60), bool)
        mask[5 + i : 25, 10:40] = True
        photo = np.where(mask[..., None], 220, rng.integers(0, 120, (40, 60, 3))).astype(np.uint8)
        for part, picture in (("images", photo), ("ground_truth_mask", mask.astype(np.uint8) * 255)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / part / f"p{i}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("rendered") / "data", 10, rejected=(3,))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    for limit in (2, 5):
        done = train(base / f"n{limit}", "--data", data, limit=limit)
        assert done.exit_code == 0, done.output
        assert f"encoder, timm:test_vit, random weights, on {limit} samples" in done.output
    return base


def test_only_the_samples_that_are_used_have_features(runs):
    held_out = 1  # of nine kept samples, a tenth
    for limit in (2, 5):
        assert len(list((runs / f"n{limit}" / "features").glob("*/*.npy"))) == limit + held_out
        assert json.loads((runs / f"n{limit}" / "config.json").read_text())["training"] == limit


def test_another_limit_is_another_run(runs, data):
    done = train(runs / "n2", "--data", data, limit=5)
    assert done.exit_code == 2 and "limit 2 where 5 is requested" in done.output


def test_runs_that_differ_in_their_samples_only_make_a_curve(runs, tmp_path, monkeypatch):
    pairs, drawn = write_pairs(tmp_path / "pairs"), []
    own = analysis.figures.scale_curve
    monkeypatch.setattr(analysis.figures, "scale_curve", lambda lines: drawn.append(lines) or own(lines))
    done = invoke("evaluate", runs / "n5", runs / "n2", "--benchmark", f"ECSSD={pairs}", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("training samples")
    assert drawn == [
        {"encoder, timm:test_vit, random weights": [(n, pytest.approx(summary["iou"][n])) for n in (2, 5)]}
    ]
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    (picture,) = re.findall(r'src="(images/scale-\d+\.png)"', page)
    assert Image.open(tmp_path / "out" / "report" / picture).format == "PNG"
    assert "random weights" in page and "random weights" in (tmp_path / "out" / "comparison.md").read_text()
    alone = invoke("evaluate", runs / "n2", "--benchmark", f"ECSSD={pairs}", "--out", tmp_path / "alone")
    assert alone.exit_code == 0 and len(drawn) == 1
    assert "scale-" not in (tmp_path / "alone" / "report" / "index.html").read_text()


def test_a_folder_of_photographs_is_trained_on_and_predicted(tmp_path):
    pairs, run = write_pairs(tmp_path / "pairs"), tmp_path / "run"
    done = train(run, "--folder", f"ECSSD={pairs}", limit=4)
    assert done.exit_code == 0 and "on 4 samples" in done.output, done.output
    assert len(list((run / "features").glob("*/*.npy"))) == 5
    done = invoke("predict", run, pairs / "images", "--out", tmp_path / "out")
    assert done.exit_code == 0 and "predicted 6" in done.output, done.output


def test_replaced_weights_have_features_of_their_own(data, tmp_path):
    file, run = tmp_path / "weights.pt", tmp_path / "run"
    for seed in (1, 2):
        load_encoder.cache_clear()  # as in another process
        torch.save(load_encoder("timm:test_vit", "random", 1, seed, "cpu").network.state_dict(), file)
        assert train(run, "--data", data, weights=file, epochs=seed).exit_code == 0
    first, second = sorted((run / "features").iterdir())
    assert (first / "00000000.npy").read_bytes() != (second / "00000000.npy").read_bytes()
    file.unlink()
    load_encoder.cache_clear()
    refused = invoke("predict", run, tmp_path, "--out", tmp_path / "out")
    assert refused.exit_code == 2 and "weights: expected 'pretrained', 'random' or a file" in refused.output


def test_what_cannot_be_trained_is_refused_before_anything_is_written(data, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    for choices, said in (
        ({"limit": 99}, "limit: expected at most 8, the number of training samples"),
        ({"weights": tmp_path / "none.pt"}, "is not a file"),
        ({"encoder": "timm:telepathy"}, "timm has no model"),
        ({"encoder": "resnet50"}, "encoder"),
        ({"weights": "pretrained", "layers": 2}, "no route to host"),
    ):
        if choices.get("weights") == "pretrained":
            monkeypatch.setattr("timm.create_model", offline)
        done = train(tmp_path / "run", "--data", data, **choices)
        assert done.exit_code == 2 and said in done.output and not (tmp_path / "run").exists(), done.output
