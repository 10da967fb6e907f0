"""What is measured of one image and its mask, against slow references and by what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.measures import STATISTICS, contrast, fg_bg_distance, measure

SEEDS = st.integers(0, 10_000)
SHAPE = ("complexity", "polygon_length", "centre_x", "centre_y", "centre_distance")


def picture(seed: int, height: int = 20, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), rng.random((height, width)) < 0.4


@given(SEEDS)
def test_contrast_is_the_standard_deviation(seed):
    image, _ = picture(seed)
    grey, rgb = contrast(image)
    weighted = image @ np.array([0.299, 0.587, 0.114])
    assert grey == pytest.approx(np.rint(weighted).std(), abs=0.02)  # OpenCV rounds in fixed point
    assert rgb == pytest.approx(image.astype(float).std())


def test_the_greatest_and_the_least_contrast():
    assert contrast(np.full((4, 6, 3), 200, np.uint8)) == (0, 0)
    halves = np.zeros((4, 6, 3), np.uint8)
    halves[:2] = 255
    assert contrast(halves) == (127.5, 127.5)


@given(SEEDS)
def test_fg_bg_distance_is_the_chi_square_of_histograms(seed):
    image, mask = picture(seed)
    counts = np.zeros((2, 8, 8, 8))
    for pixel, inside in zip(image.reshape(-1, 3), mask.ravel(), strict=True):
        counts[int(inside), *(pixel // 32)] += 1
    q, p = (each / each.sum() for each in counts)
    expected = 0.5 * sum((a - b) ** 2 / (a + b) for a, b in zip(p.ravel(), q.ravel(), strict=True) if a + b)
    found = fg_bg_distance(image, mask)
    assert found == pytest.approx(expected) == pytest.approx(fg_bg_distance(image, ~mask)) and 0 <= found <= 1


def test_fg_bg_distance_at_its_ends():
    image, mask = picture(0)
    assert fg_bg_distance(np.full_like(image, 7), mask) == 0
    assert fg_bg_distance(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask) == 1


@pytest.mark.parametrize("height, width", [(20, 30), (1, 1), (1, 40)])
def test_empty_and_full_masks_leave_undefined_what_is(height, width):
    image, _ = picture(0, height, width)
    empty, full = (measure(image, np.full((height, width), filled)) for filled in (False, True))
    assert empty.polygon is None and empty.statistics["size"] == 0 and full.statistics["size"] == 1
    assert all(np.isnan(empty.statistics[name]) for name in (*SHAPE, "fg_bg_distance"))
    assert np.isnan(full.statistics["fg_bg_distance"]) and full.statistics["centre_distance"] == pytest.approx(0)
    assert list(empty.statistics) == list(full.statistics) == list(STATISTICS)


def test_the_centre_is_that_of_the_largest_outlines_box():
    image, mask = np.zeros((100, 200, 3), np.uint8), np.zeros((100, 200), bool)
    mask[10:30, 40:100] = True
    mask[90:92, 0:2] = True
    found = measure(image, mask).statistics
    assert (found["centre_x"], found["centre_y"]) == (0.35, 0.2) and found["size"] == pytest.approx(1204 / 20000)
    assert found["centre_distance"] == pytest.approx(np.hypot(0.15, 0.3) / np.hypot(0.5, 0.5))


def test_the_distance_from_the_centre_is_one_in_a_corner():
    image, mask = np.zeros((1000, 1000, 3), np.uint8), np.zeros((1000, 1000), bool)
    mask[-1, -1] = True
    assert measure(image, mask).statistics["centre_distance"] == pytest.approx(1, abs=0.002)


@given(SEEDS)
def test_a_mirrored_picture_differs_only_in_where_its_object_is(seed):
    image, mask = picture(seed)[0], np.zeros((20, 30), bool)
    x, y, width, height = np.random.default_rng(seed).integers(1, 10, 4)
    mask[y : y + height, x : x + width] = True
    one, other = (measure(np.ascontiguousarray(image[:, ::step]), mask[:, ::step]).statistics for step in (1, -1))
    for name in ("contrast", "contrast_rgb", "fg_bg_distance", "size", "centre_y", "centre_distance"):
        assert one[name] == pytest.approx(other[name])
    assert one["centre_x"] + other["centre_x"] == pytest.approx(1)
