"""DiffDIS through the command line: killed and resumed equals unbroken, predicted, evaluated, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from benchmarks.rendered import rendered_dataset
from storage.runs import checkpoints
from storage.runs.checkpoints import STATE
from storage.runs.folder import BEST
from tests.flows.segmenters.test_evaluate import write_pairs
from tests.flows.segmenters.training import assert_same_weights, dies_after, invoke


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("rendered") / "data", 8)


@pytest.fixture(scope="module")
def options(tiny_folders, tmp_path_factory):
    """A YAML file of a training of four steps: two batches of three an epoch, of an odd number therefore."""
    file = tmp_path_factory.mktemp("options") / "train.yaml"
    run = {"device": "cpu", "batch_size": 3}
    choices = {"backbone": str(tiny_folders["sd2"]), "size": 64, "epochs": 2, "batch_size": 3, "save_every": 1}
    file.write_text(yaml.safe_dump(choices | {"run": run}))
    return file


@pytest.fixture(scope="module")
def trained(data, options, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    done = invoke("train", "diffdis", "--data", data, "--run", run, "--config", options)
    assert done.exit_code == 0, done.output
    return run


def test_killed_and_resumed_ends_with_the_same_weights(data, options, trained, tmp_path, monkeypatch):
    command = ("train", "diffdis", "--data", data, "--run", tmp_path / "run", "--config", options)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_state", dies_after(3))
        assert invoke(*command).exit_code == 1
    assert torch.load(tmp_path / "run" / STATE, weights_only=True)["step"] == 3
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    assert_same_weights(trained, tmp_path / "run")
    state = torch.load(tmp_path / "run" / STATE, weights_only=True)["model"]
    for kept in (load_file(tmp_path / "run" / BEST), state):
        assert any("running_mean" in key for key in kept)  # what SWCI normalises by is kept too


def test_a_trained_run_predicts_and_is_evaluated(trained, tmp_path):
    pairs = write_pairs(tmp_path / "pairs")
    done = invoke("predict", trained, pairs / "images", "--out", tmp_path / "masks")
    assert done.exit_code == 0 and "predicted 6, before 0, failed 0" in done.output, done.output
    for photo in (pairs / "images").iterdir():
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{photo.stem}-mask.png"))
        assert mask.shape == np.asarray(Image.open(photo)).shape[:2]
    scored = invoke("evaluate", trained, "--benchmark", f"ECSSD={pairs}", "--out", tmp_path / "scores")
    assert scored.exit_code == 0 and "scored 6, before 0, failed 0" in scored.output, scored.output


def test_it_trains_on_a_folder_of_photographs(options, tmp_path):
    pairs = write_pairs(tmp_path / "pairs")
    command = ("train", "diffdis", "--folder", f"ECSSD={pairs}", "--run", tmp_path / "run", "--config", options)
    done = invoke(*command, "--set", "epochs=1")
    assert done.exit_code == 0, done.output


def test_what_does_not_fit_is_refused_before_anything_is_written(data, options, tiny_folders, tmp_path):
    def backbone(name: str, **changes: object):
        folder = shutil.copytree(tiny_folders["sd2"], tmp_path / name)
        file = folder / "unet" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return f"backbone={folder}"

    shallow = {
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "block_out_channels": [16, 16, 32],
    }
    command = ("train", "diffdis", "--data", data, "--run", tmp_path / "run", "--config", options)
    for assignment, said in (
        ("size=100", "size: expected a multiple of 64"),
        ("edge=false", "dbia: expected 'none' if edge is false, because there is no edge to attend to, got 'mutual'"),
        ("steps=3/3", "steps"),
        (backbone("shallow", **shallow), "swci: expected a UNet that halves its grid at least three times, got 2"),
        (backbone("bare", mid_block_type="UNetMidBlock2D"), "dbia: expected a UNet with one transformer block"),
        ("edge=false dbia=none batch_size=1", "swci: expected at least two samples in a batch if size is 64"),
        (backbone("wide", in_channels=9), "in_channels: expected 4, got 9"),
    ):
        done = invoke(*command, *(part for each in assignment.split() for part in ("--set", each)))
        assert done.exit_code == 2 and said in done.output and not (tmp_path / "run").exists(), done.output
        assert done.stderr.count("\n") == 1


def test_a_loss_that_is_no_number_stops_and_says_which_samples(data, options, tmp_path, monkeypatch):
    from models.segmenters.diffdis import segmenter as diffdis

    command = ("train", "diffdis", "--data", data, "--run", tmp_path / "run", "--config", options)
    own, steps = diffdis.pyramid_noise, []

    def breaks(shape, discount):
        steps.append(shape)
        return own(shape, discount) * (float("nan") if len(steps) == 3 else 1)

    monkeypatch.setattr(diffdis, "pyramid_noise", breaks)
    done = invoke(*command)
    assert done.exit_code == 1 and "the loss is nan at step 3 on sample " in done.output, done.output
    assert torch.load(tmp_path / "run" / STATE, weights_only=True)["step"] == 2
