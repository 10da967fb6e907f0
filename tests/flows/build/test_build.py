"""The build flow: what it publishes, what changes no sample, and what a sample gone bad does to it."""

import numpy as np
import pytest
import torch

from flows.build import build, extend
from models.backbone import sampling
from models.prompts.grammar import Grammar
from storage.dataset.reader import open_dataset
from tests.flows.conftest import arrays, assert_equal, changed


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_build_publishes_every_planned_sample(config, built):
    dataset, frame = open_dataset(built), open_dataset(built).frame()
    assert dataset.version == "v1" and len(dataset) == len(frame) == 8
    assert set(frame["status"]) == {"kept", "rejected"}
    assert ((frame["status"] == "rejected") == (frame["reason"] != "")).all()
    planned = [Grammar.of(config, None).plan(i) for i in range(8)]
    assert frame[["category", "prompt", "seed"]].to_numpy().tolist() == [
        [p.category, p.prompt, p.seed] for p in planned
    ]
    for i in range(8):
        sample = dataset[i]
        assert np.isclose(sample.mask.mean(), sample.area) and sample.image.std() > 0
        x0, y0, x1, y1 = sample.box
        assert sample.mask[y0:y1, x0:x1].any() or not sample.mask.any()
    assert dataset.statistics["planned"] == 8 and dataset.statistics["kept"] == len(dataset.kept())
    assert (built / "report" / "index.html").is_file()


def test_a_finished_build_run_again_changes_no_file_of_the_store(config, built):
    before = files_of(built / "repo")
    assert build(config, built).version == "v1"
    assert files_of(built / "repo") == before


def test_an_extended_dataset_equals_a_larger_build(config, built, tmp_path):
    """From the middle of a shard; the version before stays as it was."""
    first = build(changed(config, count=3), tmp_path / "dataset")
    assert (first.version, first.planned) == ("v1", 3)
    second = extend(tmp_path / "dataset", 5)
    assert (second.version, second.planned) == ("v2", 8)
    assert_equal(tmp_path / "dataset", built)
    assert len(open_dataset(tmp_path / "dataset", "v1")) == 3


def test_batches_and_shards_change_no_sample(config, built, tmp_path):
    """Up to the last bits of the kernels: one level of a pixel, 0.1 % of a mask."""
    other = changed(config, shard_size=3, run={"batch_size": 2})
    build(other, tmp_path / "dataset")
    found, expected = arrays(open_dataset(tmp_path / "dataset")), arrays(open_dataset(built))
    for name in ("category", "prompt", "seed", "status", "reason"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert np.abs(found["image"].astype(int) - expected["image"]).max() <= 1
    np.testing.assert_allclose(found["class_map"], expected["class_map"], rtol=1e-2, atol=1e-5)
    overlap, union = (op(found["mask"], expected["mask"]).sum((1, 2)) for op in (np.logical_and, np.logical_or))
    assert (overlap >= 0.999 * union).all()


def test_worker_processes_change_no_sample(config, built, tmp_path):
    build(changed(config, run={"workers": 2}), tmp_path / "dataset")
    assert_equal(tmp_path / "dataset", built)


def test_a_sample_gone_bad_is_marked_failed_and_the_build_goes_on(config, tmp_path, monkeypatch):
    bad, draw = Grammar.of(config, None).plan(2).seed, sampling.noise
    monkeypatch.setattr(sampling, "noise", lambda seed, shape: draw(seed, shape) * (torch.nan if seed == bad else 1))
    record = build(changed(config, count=4), tmp_path / "dataset")
    assert record.failed == 1
    frame = open_dataset(tmp_path / "dataset").frame()
    assert frame["status"][2] == "failed" and frame["reason"][2] == "not finite"
    assert frame["status"].drop(2).isin(["kept", "rejected"]).all()
    assert not open_dataset(tmp_path / "dataset")[2].image.any()


def test_another_config_on_the_same_path_is_refused(config, built):
    with pytest.raises(ValueError, match="seed is 7 there, 8 here"):
        build(changed(config, seed=8), built)
    with pytest.raises(ValueError, match="already plans 8 samples"):
        build(changed(config, count=4), built)
    assert open_dataset(built).versions == ("v1",)
