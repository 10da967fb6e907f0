"""The benchmark on photographs trains on one set, measures on the other, and shows every run."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.run import run_benchmark
from benchmarks.training import photographs

SETS = {"DUTS-TR/DUTS-TR-Image": "DUTS-TR/DUTS-TR-Mask", "ECSSD/images": "ECSSD/ground_truth_mask"}


def test_every_run_is_trained_on_one_set_and_measured_on_the_other(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for number, (images, masks) in enumerate(SETS.items()):
        for i in range(5 - number):
            mask = np.zeros((40, 60), np.uint8)
            mask[5 + i : 25, 10:40] = 255
            photo = np.where(mask[..., None] > 0, 220, rng.integers(0, 120, (40, 60, 3))).astype(np.uint8)
            for folder, picture, ending in ((images, photo, "jpg"), (masks, mask, "png")):
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(tmp_path / folder / f"{i:04d}.{ending}")
    small = {"encoder": "resnet18", "size": 64, "epochs": 1, "batch_size": 2}
    monkeypatch.setattr(photographs, "RUNS", {"all": ("unet", small), "two": ("unet", small | {"limit": 2})})
    found = photographs.run(tmp_path / "runs", tmp_path, ("all", "two"))
    rows = found["tables"][0]["rows"]
    assert found["count"] == 4 and [row[:2] for row in rows] == [["all", "4"], ["two", "2"]]
    assert all(len(row) == len(photographs.COLUMNS) and row[2][1] <= row[2][0] <= row[2][2] for row in rows)


def test_the_folder_is_asked_for():
    with pytest.raises(ValueError, match="--photos: is required"):
        run_benchmark("photographs", None, None, [])
