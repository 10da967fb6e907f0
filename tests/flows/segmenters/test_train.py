"""Training and prediction through the command line: killed and resumed equals unbroken, and what is refused."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from benchmarks.rendered import rendered_dataset, rendered_folder
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.diffusionseg.segmenter import Segmenter
from models.segmenters.registry import segmenter_of
from storage.lock import WriterLock
from storage.runs import checkpoints
from storage.runs.checkpoints import STATE, load_segmenter
from storage.runs.features import FeatureCache
from storage.runs.folder import BEST, LOCK_FILE, create_run
from storage.sources import Source
from tests.flows.segmenters.training import assert_same_weights, dies_after, invoke

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("rendered") / "data", 10, rejected=(3,))


@pytest.fixture(scope="module")
def options(tiny_folders, tmp_path_factory):
    """A YAML file of a training of nine steps: two batches of four an epoch, and three validations."""
    file = tmp_path_factory.mktemp("options") / "train.yaml"
    choices = {
        "backbone": str(tiny_folders["sd1"]),
        "prior": {"clip": "none"},
        "steps": 1,
        "widths": [4, 4],
        "epochs": 3,
        "batch_size": 4,
        "save_every": 1,
        "run": {"device": "cpu", "batch_size": 3},
    }
    file.write_text(yaml.safe_dump(choices))
    return file


@pytest.fixture(scope="module")
def trained(data, options, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    done = invoke("train", "diffusionseg", "--data", data, "--run", run, "--config", options)
    assert done.exit_code == 0, done.output
    return run


def test_a_run_holds_weights_log_and_features(trained):
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6] and all(0 <= row["iou"] <= 1 for row in rows)
    assert len(list((trained / "features").glob("*/*.npy"))) == 9  # the kept ones, and no others
    assert json.loads((trained / "config.json").read_text())["version"] == "v1"


def test_killed_twice_and_resumed_ends_with_the_same_weights(data, options, trained, tmp_path, monkeypatch):
    command = ("train", "diffusionseg", "--data", data, "--run", tmp_path / "run", "--config", options)
    written: list[int] = []

    def dies_in_the_cache(self, index, features, own=FeatureCache.write):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(index)
        own(self, index, features)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "write", dies_in_the_cache)
        assert invoke(*command).exit_code == 1
    assert len(list((tmp_path / "run" / "features").glob("*/*.npy"))) == 4
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_state", dies_after(3))
        assert invoke(*command).exit_code == 1
    assert torch.load(tmp_path / "run" / STATE, weights_only=True)["step"] == 3
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    assert_same_weights(trained, tmp_path / "run")
    rows, expected_rows = ((run / "log.jsonl").read_text().splitlines() for run in (tmp_path / "run", trained))
    assert [json.loads(row)["iou"] for row in rows] == [json.loads(row)["iou"] for row in expected_rows]


def test_a_finished_run_is_done_and_more_epochs_go_on(data, options, trained, tmp_path):
    before = (trained / STATE).read_bytes()
    command = ("train", "diffusionseg", "--data", data, "--run", trained, "--config", options)
    assert invoke(*command).exit_code == 0 and (trained / STATE).read_bytes() == before
    refused = invoke(*command, "--set", "learning_rate=0.5")
    assert refused.exit_code == 2 and "learning_rate 0.001 where 0.5" in refused.output


def test_a_run_resumes_on_data_that_moved_with_what_it_has(data, options, trained, tmp_path, monkeypatch, caplog):
    shutil.copytree(data, tmp_path / "before")
    command = ("train", "diffusionseg", "--run", tmp_path / "run", "--config", options, "--data")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_state", dies_after(3))
        assert invoke(*command, tmp_path / "before").exit_code == 1
    (tmp_path / "before").rename(tmp_path / "after")
    refused = invoke(*command, rendered_dataset(tmp_path / "other", 10, rejected=(4,)))
    assert refused.exit_code == 2 and f"{tmp_path / 'other'}" in refused.output.replace("\n", " ")
    done = invoke(*command, tmp_path / "after")
    assert done.exit_code == 0 and "moved from" in caplog.text, done.output
    assert_same_weights(trained, tmp_path / "run")
    assert len(list((tmp_path / "run" / "features").iterdir())) == 1


def test_without_a_cache_nothing_is_kept(data, options, tmp_path):
    run = tmp_path / "run"
    done = invoke(
        "train", "diffusionseg", "--data", data, "--run", run, "--config", options,
        "--set", "cache=false", "--set", "epochs=1",
    )  # fmt: skip
    assert done.exit_code == 0 and not (run / "features").exists() and (run / BEST).exists()


def test_bad_input_is_refused_before_anything_is_written(options, tmp_path, tmp_path_factory):
    empty = rendered_dataset(tmp_path / "empty", 3, rejected=(0, 1, 2))
    run = tmp_path / "run"
    for command, said in (
        (("train", "diffusionseg", "--data", empty, "--run", run), "at least two kept samples"),
        (("train", "telepathy", "--data", empty, "--run", run), "expected one of diffusionseg"),
        (("train", "diffusionseg", "--data", tmp_path / "no", "--run", run), "no"),
        (("predict", run, tmp_path, "--out", tmp_path / "out"), "expected a run folder"),
    ):
        done = invoke(*command)
        assert done.exit_code == 2 and said in done.output and not run.exists(), done.output


def test_a_run_whose_files_are_damaged_is_named(data, options, trained, tmp_path):
    def damaged(name: str, content: bytes) -> str:
        run = shutil.copytree(trained, tmp_path / name)
        (run / name).write_bytes(content)
        use = ("predict", run, tmp_path, "--out", tmp_path / "out")
        again = ("train", "diffusionseg", "--data", data, "--run", run, "--config", options)
        done = invoke(*(again if name == STATE else use))
        assert done.exit_code == (1 if name == STATE else 2), done.output
        shutil.rmtree(run)
        return done.stderr.splitlines()[-1]

    for content in (b"", b"{}", b'{"config": [], "data": 1, "version": 2}', b"\xff"):
        assert "config.json: is not the configuration of a run" in damaged("config.json", content)
    other = json.loads((trained / "config.json").read_text())
    other["config"]["bogus"] = 1
    told = damaged("config.json", json.dumps(other).encode())
    assert "(bogus: no such field" in told and "http" not in told
    whole = (trained / BEST).read_bytes()
    for content in (b"", whole[:50], whole[:-50]):
        assert f"{BEST}: cannot be read" in damaged(BEST, content)
    whole = (trained / STATE).read_bytes()
    for content in (b"", b"no state", whole[: len(whole) // 2]):
        assert f"{STATE}: cannot be read" in damaged(STATE, content)


def test_a_run_goes_on_with_its_own_state_alone_whatever_its_log_holds(data, options, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    assert (run / BEST).stat().st_mode == (run / "config.json").stat().st_mode
    command = ("train", "diffusionseg", "--data", data, "--run", run, "--config", options)
    with (run / "log.jsonl").open("a") as log:
        log.write('hello}\n{"loss": 1}\n{"step": 9')
    assert invoke(*command).exit_code == 0
    assert (run / "log.jsonl").read_text() == (trained / "log.jsonl").read_text()
    state = torch.load(run / STATE, weights_only=True)
    state["model"] = {f"other.{name}": value for name, value in state["model"].items()}
    torch.save(state, run / STATE)
    said = invoke(*command).stderr.splitlines()[-1]
    assert f"{STATE}: expected weights of the network" in said and "is missing" in said and "same command" not in said
    other = invoke("train", "unet", "--data", data, "--run", run)
    assert other.exit_code == 2 and "expected a run of unet, found one of diffusionseg" in other.output
    assert len(other.stderr) < 300


def test_masks_that_are_no_numbers_stop_a_training_and_what_was_saved_before_stays(
    data, options, trained, tmp_path, monkeypatch
):
    run, validations = tmp_path / "run", []

    def soft_masks(self, batch, own=Segmenter.soft_masks):
        validations.append(1)
        return own(self, batch) * (np.nan if len(validations) > 1 else 1)

    command = ("train", "diffusionseg", "--data", data, "--run", run, "--config", options)
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "soft_masks", soft_masks)
        done = invoke(*command)
    assert done.exit_code == 1 and "masks in validation contain NaN or inf" in done.stderr.splitlines()[-1]
    assert "same command" not in done.stderr.splitlines()[-1]
    assert torch.load(run / STATE, weights_only=True)["step"] == 3  # the validations are after steps 2 and 4
    assert invoke(*command).exit_code == 0
    assert_same_weights(trained, run)


def test_a_run_is_written_by_one_training_at_a_time(data, options, tmp_path):
    (tmp_path / "run").mkdir()
    lock = WriterLock(tmp_path / "run" / LOCK_FILE, "another")
    command = ("train", "diffusionseg", "--data", data, "--run", tmp_path / "run", "--config", options)
    refused = invoke(*command, "--set", "epochs=1")
    assert refused.exit_code == 1 and "another training is writing this run" in refused.output
    lock.release()
    assert invoke(*command, "--set", "epochs=1").exit_code == 0


def test_pairs_that_are_no_pictures_or_of_two_sizes_are_named_before_a_run_is_begun(tmp_path):
    photos = rendered_folder(tmp_path / "photos", 6, seed=5)
    command = ("train", "unet", "--folder", f"folder={photos}", "--run", tmp_path / "run")
    refused = invoke(*command, "--set", "batch_size=2", "--set", "gradient_accumulation_steps=4")
    assert (
        refused.exit_code == 2
        and "gradient_accumulation_steps: expected at most 2, the batches of an epoch" in refused.output
    )
    Image.new("L", (60, 60)).save(photos / "masks" / "0003.png")
    refused = invoke(*command)
    assert refused.exit_code == 2 and "0003.png: expected masks of their photos' sizes" in refused.output
    (photos / "images" / "0001.png").write_bytes(b"")
    (photos / "masks" / "0002.png").write_text("no picture")
    refused = invoke(*command)
    assert refused.exit_code == 2 and not (tmp_path / "run").exists()
    assert all(name in refused.output for name in ("images/0001.png", "masks/0002.png", "expected pictures"))


def test_predict_refuses_a_clip_that_is_gone_unless_the_class_is_given(options, tmp_path):
    choices = yaml.safe_load(options.read_text()) | {"prior": {"clip": f"RN50:{tmp_path / 'gone.pt'}"}}
    config = DiffusionSegConfig.model_validate(choices)
    run = create_run(tmp_path / "run", config, Source(path=tmp_path / "data", version="v1"), 1)
    weights = segmenter_of(config).network.state_dict()
    checkpoints.save_checkpoint(run, {"model": weights, "step": 1, "best": 0.5}, True)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "p.png")
    command = ("predict", run.path, tmp_path / "p.png", "--out", tmp_path / "out")
    refused = invoke(*command)
    assert refused.exit_code == 2 and "prior.clip: RN50 has no weights" in refused.output
    assert not (tmp_path / "out").exists()
    assert invoke(*command, "--class", "cat").exit_code == 0


def test_a_run_goes_where_it_can_be_written(data, options, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "config.json.123.partial").write_text("{")
    command = ("train", "diffusionseg", "--data", data, "--config", options, "--set", "epochs=1", "--run")
    refused = invoke(*command, tmp_path / "file" / "below")
    assert refused.exit_code == 2 and "not a folder that can be written to" in refused.output
    assert invoke(*command, tmp_path / "killed").exit_code == 0


@pytest.mark.slow
def test_two_processes_train_one_run(data, options, tmp_path):
    """Through the command of docs/index.md; the second process's weights are compared in tests/models."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    command += ["maskmill", "train", "diffusionseg", "--data", data, "--run", run, "--config", options]
    done = subprocess.run(
        [*map(str, command), "--set", "batch_size=2"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()] == [2, 4, 6]
    assert len(list((run / "features").glob("*/*.npy"))) == 9


def test_photos_are_predicted_at_their_own_size_once(trained, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    rng = np.random.default_rng(0)
    pictures = {f"p{i}": rng.integers(0, 256, (*s, 3), dtype=np.uint8) for i, s in enumerate(((40, 90), (128, 128)))}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(photos / f"{name}.png")
    (photos / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    first = invoke("predict", trained, photos, "--out", out)
    assert first.exit_code == 1 and "predicted 2, before 0, failed 1" in first.output
    soft = load_segmenter(trained, "cpu").predict(list(pictures.values()))
    with (out / "predictions.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    for (name, picture), expected in zip(pictures.items(), soft, strict=True):
        mask, grey = (np.asarray(Image.open(out / f"{name}-{kind}.png")) for kind in ("mask", "soft"))
        assert mask.shape == grey.shape == picture.shape[:2] and set(np.unique(mask)) <= {0, 255}
        np.testing.assert_allclose(grey / 255, expected, atol=0.01)
        x0, y0, x1, y1 = (int(rows[name][side]) for side in ("x0", "y0", "x1", "y1"))
        assert (mask[y0:y1, x0:x1] > 0).any() == (mask > 0).any()
    assert "torn.jpg" in rows["torn"]["error"]
    (photos / "torn.jpg").unlink()
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = invoke("predict", trained, photos, "--out", out)
    assert again.exit_code == 0 and again.output.startswith("Nothing is left to do")
    assert times == {path: path.stat().st_mtime_ns for path in out.iterdir()}
