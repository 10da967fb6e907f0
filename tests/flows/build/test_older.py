"""A dataset that the code of commit fc9895f made: it opens as it was, and is exported, solved again and extended.

The data lie beside the repository, in shared/data/demo-at-fc9895f: the dataset's repo/ as a tar file, digests.json with
SHA-256 of its arrays, table.csv with its table but for the boxes, which were of the largest component then.
"""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.build import extend
from flows.export import export
from flows.recut import recut
from models.config.build import BuildConfig
from models.config.export import ExportConfig
from models.cut.masks import box, largest_box
from storage.dataset.reader import Dataset, open_dataset
from storage.photos.folders import open_folder
from tests.flows.conftest import changed

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "demo-at-fc9895f"
ARRAYS = ("image", "mask", "objectness", "class_map", "refined", "affinities")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("older") / "demo"
    path.mkdir()
    with tarfile.open(DATA / "repo.tar") as tar:
        tar.extractall(path, filter="data")
    return path


def assert_as_it_was(dataset: Dataset) -> None:
    """The first 256 samples have the arrays and the table that they had, CLIP's confidence but for its last bits."""
    digests = json.loads((DATA / "digests.json").read_text())
    for name in ARRAYS:
        values = np.ascontiguousarray(dataset.group[name][: digests["planned"]])
        assert hashlib.sha256(values.tobytes()).hexdigest() == digests[name], name
    frame = dataset.frame().drop(columns="box").iloc[: digests["planned"]]
    before = pd.read_csv(DATA / "table.csv", index_col="index", keep_default_na=False, na_values={"clip_score": ""})
    np.testing.assert_allclose(frame.pop("clip_score"), before.pop("clip_score"), rtol=1e-5)  # scored on any machine
    stored = pd.read_csv(io.StringIO(frame.to_csv()), index_col="index", keep_default_na=False)
    pd.testing.assert_frame_equal(stored, before)


def test_it_opens_as_it_was(older):
    dataset = open_dataset(older)
    assert dataset.version == "v1" and len(dataset) == 256 and len(dataset.kept()) == 211
    assert_as_it_was(dataset)
    assert all(dataset[index].box == largest_box(dataset[index].mask) for index in range(0, 256, 5))


def test_it_is_exported_with_the_boxes_of_all_pixels(older, tmp_path):
    dataset = open_dataset(older)
    export(ExportConfig(format="folders", split="0.5,0.5"), older, tmp_path / "out")
    pairs = {split: open_folder("folder", tmp_path / "out" / split) for split in ("train", "val")}
    assert sorted(int(name) for each in pairs.values() for name in each.names) == dataset.kept().tolist()
    photo, mask = pairs["train"].pair(0)
    sample = dataset[int(pairs["train"].names[0])]
    assert np.array_equal(photo, sample.image) and np.array_equal(mask, sample.mask)
    table = pd.read_csv(tmp_path / "out" / "tables" / "samples.csv", index_col="index")
    for index, *corners in table[["x0", "y0", "x1", "y1"]].itertuples():
        assert tuple(corners) == box(dataset[index].mask)


@pytest.mark.slow
def test_it_is_solved_again_to_the_same_masks_and_extended(older, tmp_path):
    out = shutil.copytree(older, tmp_path / "demo")
    config = BuildConfig.of_stored(open_dataset(out).config)
    config = changed(config, run=config.run.model_copy(update={"device": "cpu", "workers": 0}))
    assert recut(changed(config, cut={"alpha": 2 * config.cut.alpha}), out).version == "v2"
    assert not np.array_equal(open_dataset(out).group["mask"][:], open_dataset(out, "v1").group["mask"][:])
    assert recut(config, out).version == "v3"
    assert_as_it_was(open_dataset(out))
    frame, masks = open_dataset(out).frame(), open_dataset(out).group["mask"][:]
    assert frame["box"].tolist() == [box(mask) for mask in masks]
    assert extend(out, 2).planned == 258
    assert_as_it_was(open_dataset(out))
