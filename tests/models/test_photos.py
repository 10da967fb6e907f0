"""Photographs of any size: the size they are given, the size they are cut at; and size does not change the mask."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.backbone.facts import check_backbone
from models.config.cut import CutConfig
from models.config.photos import MaskConfig
from models.cut.attentioncut import Evidence
from models.images import resized
from models.photos import MAX_SIDE, at_size, backbone_size, cut_photo, cut_size

POCKET = check_backbone("pocket")
LARGE = dataclasses.replace(POCKET, image_size=(512, 512))
CUT = MaskConfig().cut
SIDES = st.integers(1, 20000)


@given(SIDES, SIDES, st.sampled_from([POCKET, LARGE]))
def test_the_backbones_size_is_of_multiples_and_of_about_its_area(height, width, facts):
    size = backbone_size((height, width), facts)
    native = facts.image_size[0] * facts.image_size[1]
    assert size[0] % facts.multiple == size[1] % facts.multiple == 0
    assert native / 2 <= size[0] * size[1] <= 2 * native
    assert size == backbone_size((width, height), facts)[::-1] or height == width


def test_the_backbones_size_keeps_the_aspect():
    assert backbone_size((128, 128), POCKET) == backbone_size((4000, 4000), POCKET) == (128, 128)
    for height, width in ((300, 400), (400, 300), (200, 400), (1080, 1920)):
        size = backbone_size((height, width), LARGE)
        assert 0.85 < size[1] / size[0] * height / width < 1.18


@given(SIDES, SIDES)
def test_the_cuts_size(height, width):
    grid = (16, 16)
    at = cut_size((height, width), (128, 128), grid)
    assert at[0] >= grid[0] and at[1] >= grid[1] and max(at) <= MAX_SIDE
    if min(height, width) >= 16 and max(height, width) <= MAX_SIDE:
        assert at == (height, width)


def disc(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / (side - 1) - 0.5
    return np.hypot(y, x) < 0.3


def evidence(noise: float) -> Evidence:
    soft = np.asarray(Image.fromarray(disc(128).astype(np.float32)).resize((16, 16), Image.Resampling.BOX))
    soft = soft + np.random.default_rng(0).uniform(0, noise, soft.shape).astype(np.float32)
    return Evidence(soft, soft, np.zeros((4, 16, 16), np.float32))


def photo(side: int) -> np.ndarray:
    return np.where(disc(side)[..., None], (200, 40, 40), (40, 90, 40)).astype(np.uint8)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("side", [64, 128, 500, 1000])
def test_a_photos_resolution_does_not_change_its_mask(side):
    found = cut_photo(photo(side), evidence(0.4), (128, 128), CUT)
    assert found.mask.shape == found.objectness.shape == (side, side)
    assert iou(found.mask, disc(side)) > 0.97


def test_lambda_is_stated_at_the_backbones_size():
    assert at_size(CutConfig(), (128, 128), (128, 128)) == CutConfig()
    assert at_size(CutConfig(), (128, 128), (512, 256)).lambda_ == pytest.approx(CutConfig().lambda_ * 8**0.5)


def test_a_photo_above_the_limit_is_cut_below_and_its_mask_enlarged():
    large = photo(2 * MAX_SIDE)
    found = cut_photo(large, evidence(0.1), (128, 128), CUT)
    assert found.small.shape[:2] == found.small_mask.shape == (MAX_SIDE, MAX_SIDE)
    np.testing.assert_array_equal(found.mask, found.small_mask.repeat(2, axis=0).repeat(2, axis=1))
    assert iou(found.mask, disc(2 * MAX_SIDE)) > 0.97


def test_a_photo_of_one_pixel_has_a_mask_of_one_pixel():
    found = cut_photo(np.zeros((1, 1, 3), np.uint8), evidence(0.1), (128, 128), CUT)
    assert found.mask.shape == found.objectness.shape == (1, 1)


def test_a_photo_of_the_right_size_is_not_touched():
    image = photo(128)
    assert resized(image, (128, 128)) is image
    assert resized(image, (64, 192)).shape == (64, 192, 3)
