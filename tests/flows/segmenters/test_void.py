"""Masks with labels and void through the command line: trained on, scored and counted by what is judged.

And batches too small to normalise, which are refused before anything is written.
"""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models.config.training import TrainingSet
from models.errors import UserError
from models.segmenters.smp.config import DeepLabV3Config, UNetConfig
from storage.photos.folders import open_folder
from storage.runs import checkpoints
from storage.runs.loader import FolderSamples, all_batches, batch_positions, batches_in_epoch
from tests.flows.segmenters.training import invoke
from tests.storage.photos.encodings import drawn, outline, voc

COUNT, SIDE = 6, 48
SMALL = ("--set", "encoder=resnet18", "--set", "size=64", "--set", "epochs=1", "--set", "run.device=cpu")


def written(folder, as_voc: bool):
    """Bright objects on a dark ground; their masks black and white, or VOC's with an outline of void."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(COUNT):
        mask = drawn(np.random.default_rng(i))
        photo = np.where(mask[..., None], 220, 40).repeat(3, axis=2).astype(np.uint8)
        Image.fromarray(photo).save(folder / "images" / f"{i}.png")
        stored = voc(mask, i + 1, outline(mask)) if as_voc and i else Image.fromarray(mask)  # the first has no void
        stored.save(folder / "masks" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("void")
    return {kind: written(base / kind, kind == "voc") for kind in ("plain", "voc")}


@pytest.fixture(scope="module")
def run(folders, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "unet"
    done = invoke(
        "train", "unet", "--folder", f"folder={folders['voc']}", "--run", run, *SMALL, "--set", "batch_size=2"
    )
    assert done.exit_code == 0, done.output
    assert "pixels of the training masks, not judged, left out" in done.output
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert all(row["void"] > 0 for row in rows if "iou" in row)
    return run


@pytest.fixture
def misled(monkeypatch):
    """A segmenter that knows the bright objects, and is wrong on all of their outlines."""

    class Misled:
        def predict(self, photos):
            objects = [photo.min(axis=2) > 200 for photo in photos]
            return [np.where(outline(mask), ~mask, mask).astype(np.float32) for mask in objects]

    monkeypatch.setattr(checkpoints, "load_run", lambda folder: Misled())


def test_what_is_not_judged_is_not_scored_but_counted(run, folders, tmp_path, misled):
    out = tmp_path / "plain"
    assert invoke("evaluate", run, "--benchmark", f"folder={folders['plain']}", "--out", out).exit_code == 0
    plain = pd.read_csv(out / "summary.csv").iloc[0]
    assert plain["iou"] < 0.9 and "void pixels" not in plain and "void" not in pd.read_parquet(out / "images.parquet")
    out = tmp_path / "voc"
    done = invoke("evaluate", run, "--benchmark", f"folder={folders['voc']}", "--out", out)
    assert done.exit_code == 0 and "| void pixels |" in done.output, done.output
    images = pd.read_parquet(out / "images.parquet").set_index("name")
    expected = [0, *(int(outline(drawn(np.random.default_rng(i))).sum()) for i in range(1, COUNT))]
    assert images["void"].tolist() == expected
    assert (images["iou"][1:] == 1).all() and (images["mae"][1:] == 0).all() and images["iou"].iloc[0] < 0.9
    assert pd.read_csv(out / "summary.csv").iloc[0]["void pixels"] == sum(expected)
    again = invoke("evaluate", run, "--benchmark", f"folder={folders['voc']}", "--out", out)
    assert "scored 0, before 6, failed 0" in again.output and "| void pixels |" in again.output
    assert "void pixels" in (out / "report" / "index.html").read_text()


def test_statistics_count_what_is_not_judged(folders, tmp_path):
    done = invoke("statistics", f"folder={folders['voc']}", "--out", tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "samples" / "subject.parquet")
    assert done.exit_code == 0 and frame["void"].iloc[0] == 0 and (frame["void"][1:] > 0).all()
    assert f"5 masks with pixels that are not judged, {frame['void'].sum():,} pixels in all" in done.output


def test_batches_mix_masks_with_and_without_void(folders):
    pairs = open_folder("folder", folders["voc"])
    (batch,) = all_batches(FolderSamples(pairs, np.arange(COUNT), (SIDE, SIDE)), COUNT)
    for i in range(COUNT):
        mask = drawn(np.random.default_rng(i))
        judged = ~batch["void"][i].numpy()
        np.testing.assert_array_equal(batch["mask"][i].numpy()[judged], mask[judged])
        np.testing.assert_array_equal(~judged, outline(mask) if i else np.zeros_like(mask))
        photo, truth, void = pairs.judged_pair(i)
        assert (void is None) == (i == 0) and truth.dtype == bool and pairs.pair(i)[1] is not None
        np.testing.assert_array_equal(pairs.pair(i)[0], photo)


@pytest.mark.parametrize("options", [("batch_size=1",), ("limit=1",)])
def test_deeplabv3_refuses_batches_of_one_before_the_start(folders, tmp_path, options):
    sets = [part for option in options for part in ("--set", option)]
    run = tmp_path / "run"
    done = invoke("train", "deeplabv3", "--folder", f"folder={folders['plain']}", "--run", run, *SMALL, *sets)
    assert done.exit_code == 2 and "batch_size: expected at least 2 samples in each batch" in done.output, done.output
    assert not run.exists()


def test_the_smallest_batch_is_that_of_the_smallest_share():
    for samples in range(1, 12):
        for batch_size in (1, 2, 3, 5):
            for processes in range(1, min(samples, 4) + 1):
                in_epoch = batches_in_epoch(samples, batch_size, processes)
                sizes = []
                for rank in range(processes):
                    positions = batch_positions(samples, batch_size, 0, rank=rank, processes=processes)
                    sizes += [len(next(positions)) for _ in range(in_epoch)]
                training = TrainingSet(samples, None, processes)
                assert training.smallest_batch(batch_size) == min(sizes)
                config = DeepLabV3Config(batch_size=batch_size)
                UNetConfig(batch_size=batch_size).check(None, training)
                if min(sizes) == 1:
                    with pytest.raises(UserError, match="batch_size"):
                        config.check(None, training)
                else:
                    config.check(None, training)
