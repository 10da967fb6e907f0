"""SOD-diffusion through the command line: resumed equals unbroken, prediction, evaluation, what is refused."""

import json

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from benchmarks.rendered import rendered_dataset
from flows.checks.segmenters import check_run_usable
from models.segmenters.registry import segmenter_of
from models.segmenters.sod_diffusion.config import SodDiffusionConfig
from storage.photos.pictures import read_photo
from storage.runs import checkpoints
from storage.runs.checkpoints import STATE
from storage.runs.folder import create_run
from storage.sources import Source
from tests.flows.segmenters.training import assert_same_weights, dies_after, invoke

CHOSEN = "whole ensemble=1"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("rendered") / "data", 6)


@pytest.fixture(scope="module")
def command(tiny_folders, tmp_path_factory, data):
    """A training of four steps, of two batches each, with two validations; --run and its folder are to follow."""
    file = tmp_path_factory.mktemp("options") / "train.yaml"
    choices = {
        "backbone": str(tiny_folders["sd2"]), "size": 64, "swin": "pocket", "weights": "random", "freeze_swin": False,
        "epochs": 2, "batch_size": 1, "gradient_accumulation_steps": 2, "save_every": 1, "steps": 2, "ensemble": 2,
        "validation_steps": 1, "run": {"device": "cpu", "batch_size": 3},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(choices))
    return ("train", "sod-diffusion", "--data", data, "--config", file, "--run")


@pytest.fixture(scope="module")
def trained(command, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    done = invoke(*command, run)
    assert done.exit_code == 0, done.output
    return run


def test_killed_and_resumed_ends_with_the_same_weights(command, trained, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_state", dies_after(3))
        assert invoke(*command, tmp_path / "run").exit_code == 1
    assert torch.load(tmp_path / "run" / STATE, weights_only=True)["step"] == 3
    done = invoke(*command, tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert_same_weights(trained, tmp_path / "run")
    rows, expected_rows = ((run / "log.jsonl").read_text().splitlines() for run in (tmp_path / "run", trained))
    assert [json.loads(row)["iou"] for row in rows] == [json.loads(row)["iou"] for row in expected_rows]


def test_photos_are_predicted_and_a_benchmark_is_scored(trained, tmp_path):
    rng = np.random.default_rng(0)
    for part in ("images", "ground_truth_mask"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
    for i, size in enumerate(((40, 90), (64, 64))):
        mask = np.zeros(size, np.uint8)
        mask[10:30, 10:40] = 255
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"pairs/images/{i}.png")
        Image.fromarray(mask).save(tmp_path / f"pairs/ground_truth_mask/{i}.png")
    out = tmp_path / "out"
    done = invoke("predict", trained, tmp_path / "pairs" / "images", "--out", out)
    assert done.exit_code == 0 and "predicted 2" in done.output, done.output
    assert np.asarray(Image.open(out / "0-soft.png")).shape == (40, 90)
    done = invoke("evaluate", trained, "--benchmark", f"ECSSD={tmp_path / 'pairs'}", "--out", tmp_path / "scores")
    assert done.exit_code == 0, done.output
    page, scores = tmp_path / "scores" / "report" / "index.html", tmp_path / "scores" / "scores"
    assert "sod-diffusion, pocket, random weights" in page.read_text()
    command = ("evaluate", trained, "--benchmark", f"ECSSD={tmp_path / 'pairs'}", "--out", tmp_path / "scores")
    done = invoke(*command, "--set", "ensemble=1", "--set", "run.batch_size=1")
    assert done.exit_code == 0 and "scored 2, before 0" in done.output, done.output
    assert "whole ensemble=1" in page.read_text()
    plain, single = (np.asarray(Image.open(scores / name / "ECSSD/predictions/1.png")) for name in ("whole", CHOSEN))
    (soft,) = checkpoints.load_segmenter(trained, "cpu", ensemble=1).predict(
        [read_photo(tmp_path / "pairs/images/1.png")]
    )
    assert np.array_equal(single, np.rint(soft * 255)) and not np.array_equal(single, plain)
    for more in ((), ("--set", "ensemble=1")):  # neither has taken the other's place
        done = invoke(*command, *more)
        assert done.exit_code == 0 and "scored 0, before 2" in done.output, done.output


def test_what_predictions_alone_depend_on_may_change_for_a_trained_run(command, trained, tmp_path):
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    expected = {}
    for ensemble in (2, 1):
        done = invoke("predict", trained, photo, "--out", out, "--set", f"ensemble={ensemble}")
        assert done.exit_code == 0 and "predicted 1" in done.output, done.output
        (soft,) = checkpoints.load_segmenter(trained, "cpu", ensemble=ensemble).predict([pixels])
        expected[ensemble] = np.rint(soft * 255)
        assert np.array_equal(np.asarray(Image.open(out / "photo-soft.png")), expected[ensemble])
    assert not np.array_equal(*expected.values())
    done = invoke("predict", trained, photo, "--out", out, "--set", "ensemble=1")
    assert done.exit_code == 0 and "Nothing is left to do" in done.output
    done = invoke("predict", trained, photo, "--out", tmp_path / "own")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "own" / "photo-soft.png")), expected[2])
    weights = (trained / "best.safetensors").read_bytes()
    done = invoke(
        *command, trained, "--set", "ensemble=1"
    )  # nothing is left to train; predictions go by it from now on
    assert done.exit_code == 0 and (trained / "best.safetensors").read_bytes() == weights, done.output
    assert checkpoints.load_segmenter(trained, "cpu").config.ensemble == 1
    assert invoke(*command, trained).exit_code == 0  # as it was


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_nothing_else_may_change_for_a_trained_run(trained, tmp_path, verb):
    out = tmp_path / "out"
    rest = (tmp_path, "--out", out) if verb == "predict" else ("--benchmark", f"folder={tmp_path}", "--out", out)
    for given, said in (
        ("size=128", "size: expected fields among ensemble, spacing, steps, run for predictions of"),
        ("run.device=tpu", "run.device: "),
        ("ensemble=0", "ensemble: expected greater than or equal to 1, got 0"),
        ("ensemble=much", "ensemble: "),
    ):
        done = invoke(verb, trained, *rest, "--set", given)
        assert done.exit_code == 2 and said in " ".join(done.output.split()) and not out.exists(), done.output


def test_what_does_not_fit_is_refused_before_anything_is_written(command, tmp_path):
    run = tmp_path / "run"
    for given, said in (
        ("size=96", "size: expected a multiple of 64"),
        ("context_projection=tile16", "tile16 needs a cross-attention whose width is a multiple of 64, got"),
        ("freeze_swin=true", "freeze_swin: expected false if the Swin's weights are random"),
        ("swin=swin_of_mine", "timm has no model 'swin_of_mine'"),
        ("preset=mine", "preset: expected"),
    ):
        done = invoke(*command, run, "--set", given)
        assert done.exit_code == 2 and said in done.output and not run.exists(), done.output


def test_a_trained_run_does_without_the_file_that_its_swin_came_from(tiny_folders, tmp_path):
    config = SodDiffusionConfig(
        backbone=str(tiny_folders["sd2"]),
        size=64,
        swin="swin_tiny_patch4_window7_224",
        weights=str(tmp_path / "gone.pt"),
    )
    run = create_run(tmp_path / "run", config, Source(path=tmp_path / "data", version="v1"), 1)
    weights = segmenter_of(config.as_trained()).network.state_dict()
    checkpoints.save_checkpoint(run, {"model": weights, "step": 1, "best": 0.5}, True)
    check_run_usable(run)
    found = checkpoints.load_segmenter(run.path, "cpu").network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
