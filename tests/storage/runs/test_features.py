"""The cache of features: a round trip through half precision, what is missing, and what does not fit."""

import shutil

import numpy as np
import pytest

from storage.runs.features import FeatureCache

SHAPES = [(3, 4, 6), (5, 2, 3)]


def layers(seed: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).normal(size=shape).astype(np.float32) for shape in SHAPES]


def test_what_was_written_is_read_and_no_more_is_missing(tmp_path):
    cache = FeatureCache(tmp_path, {"steps": 4}, SHAPES)
    assert cache.missing([0, 2, 5]) == [0, 2, 5] and cache.bytes_per_sample == 2 * (72 + 30)
    cache.write(2, layers(2))
    (cache.folder / "00000005.partial").write_bytes(b"cut off by a kill")
    again = FeatureCache(tmp_path, {"steps": 4}, SHAPES)
    assert again.missing([0, 2, 5]) == [0, 5]
    for found, expected in zip(again.read(2), layers(2), strict=True):
        np.testing.assert_array_equal(found, expected.astype(np.float16))


def test_another_key_has_a_cache_of_its_own(tmp_path):
    FeatureCache(tmp_path, {"steps": 4}, SHAPES).write(0, layers(0))
    assert FeatureCache(tmp_path, {"steps": 5}, SHAPES).missing([0]) == [0]


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="sample 7: .*cache=false"):
        FeatureCache(tmp_path, {}, SHAPES).write(7, [1e5 * layer for layer in layers(0)])


def test_a_full_disk_is_told_before(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, {}, SHAPES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10000, 9000, 1000))
    cache.check_room(4)
    with pytest.raises(ValueError, match="features of 5 samples take .*choose another --run"):
        cache.check_room(5)


@pytest.mark.parametrize("content", [b"", b"no array", b"half"])
def test_a_damaged_file_is_named(tmp_path, content):
    cache = FeatureCache(tmp_path, {}, SHAPES)
    cache.write(3, layers(3))
    file = cache.folder / "00000003.npy"
    file.write_bytes(file.read_bytes()[:150] if content == b"half" else content)
    with pytest.raises(ValueError, match=f"{file}: expected a sample's features, .*remove it"):
        cache.read(3)
