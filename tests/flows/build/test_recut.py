"""Recuts: new masks from stored evidence as a new version, the images untouched, no backbone; and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from flows.build import build
from flows.checks.recut import check_recut
from flows.recut import recut
from storage.dataset.reader import open_dataset
from tests.flows.conftest import arrays, changed

RECUT = {
    "mask", "objectness", "class_map", "refined", "status", "reason", "uncertainty", "energy", "area", "box",
    "num_clamped", "bilateral_refused", "border", "num_components", "entropy",
}  # fmt: skip


@pytest.fixture(scope="module")
def solved(config, built, tmp_path_factory) -> Path:
    """v1 as built, v2 with other seeds of r(p) and fewer layers, v3 with v1's config again, v4 with another graph."""
    out = shutil.copytree(built, tmp_path_factory.mktemp("recut") / "dataset")
    backbone = Path(config.backbone)
    hidden = backbone.rename(backbone.with_name("hidden"))
    try:
        recut(changed(config, cut={"tau": 0.6, "num_seeds": 5}, sampling={"top_k": 1}), out)
        recut(config, out)
        recut(changed(config, cut={"lambda_": 5.0, "neighbourhood": 4, "grid": "attention"}), out)
    finally:
        hidden.rename(backbone)
    return out


@pytest.mark.parametrize("version", ["v2", "v3", "v4"])
def test_only_masks_and_what_follows_from_them_change(solved, version):
    assert open_dataset(solved).versions == ("v1", "v2", "v3", "v4")
    before, after = arrays(open_dataset(solved, "v1")), arrays(open_dataset(solved, version))
    for name in before.keys() - RECUT:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert np.array_equal(before["mask"], after["mask"]) == (version == "v3")


def test_the_first_config_gives_the_first_masks_again(solved):
    before, after = arrays(open_dataset(solved, "v1")), arrays(open_dataset(solved, "v3"))
    for name in RECUT:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    between = arrays(open_dataset(solved, "v2"))
    assert not np.array_equal(between["refined"], before["refined"])
    assert not np.array_equal(between["class_map"], before["class_map"])


def test_a_recut_stores_its_config_and_reports(solved):
    dataset = open_dataset(solved)
    assert dataset.config["cut"]["lambda"] == 5.0 and dataset.config["cut"]["neighbourhood"] == 4
    assert dataset.statistics["planned"] == 8 and set(dataset.frame()["status"]) <= {"kept", "rejected"}
    page = (solved / "report" / "index.html").read_text()
    assert "v4" in page and "Since v3" in page and "cut.neighbourhood" in page


def test_nothing_changed_is_no_new_version(config, solved):
    record = recut(changed(config, cut={"lambda_": 5.0, "neighbourhood": 4, "grid": "attention"}), solved)
    assert record.version == "v4"


DRAWN = [
    {"sampling": {"steps": 3}},
    {"sampling": {"keep_pooled": False}},
    {"classes": ("cat",)},
    {"seed": 8},
    {"count": 9},
    {"backbone": "pocket"},
]


@pytest.mark.parametrize("sections", DRAWN, ids=str)
def test_what_images_follow_from_is_refused(config, built, sections):
    with pytest.raises(ValueError, match="cannot change in a recut"):
        check_recut(changed(config, **sections), built)


def test_without_kept_attention_its_fields_are_refused(config, tmp_path):
    plain = changed(config, count=2, sampling={"keep_pooled": False})
    build(plain, tmp_path / "dataset")
    for sections in ({"cut": {"tau": 0.5}}, {"cut": {"num_seeds": 9}}, {"sampling": {"top_k": 1}}):
        with pytest.raises(ValueError, match="keep_pooled=true"):
            check_recut(changed(plain, **sections), tmp_path / "dataset")
    assert "pooled" not in open_dataset(tmp_path / "dataset").group
    recut(changed(plain, screen={"min_area": 0.0, "max_area": 0.0}), tmp_path / "dataset")
    frame = open_dataset(tmp_path / "dataset").frame()
    assert frame["reason"].isin(["too large", "too small", "empty"]).all() and len(frame) == 2
