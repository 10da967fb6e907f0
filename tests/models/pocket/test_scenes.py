"""The renderer: deterministic, exact masks, one right answer, colour independent of class."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pocket.scenes import BACKGROUNDS, CLASSES, COLOURS, OUTLINES, SHARES, SIZE, _object_frame, render


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 2**31))
def test_a_scene_is_the_same_every_time_and_its_object_lies_inside(seed: int, index: int) -> None:
    scene, again = render(seed, index), render(seed, index)
    assert np.array_equal(scene.image, again.image) and np.array_equal(scene.mask, again.mask)
    assert scene.image.shape == (SIZE, SIZE, 3) and scene.image.dtype == np.uint8
    assert f" {scene.category} on a " in scene.caption
    assert 0.04 < scene.mask.mean() < 0.5
    sides = (scene.mask[0], scene.mask[-1], scene.mask[:, 0], scene.mask[:, -1])
    assert max(side.sum() for side in sides) <= (SIZE // 8 if scene.category == "heart" else 0)


@pytest.mark.parametrize("seed, index", [(1500, 1078630), (569319, 3800872)])
def test_a_large_heart_may_touch_an_edge(seed: int, index: int) -> None:
    """About one heart in sixty does, with few pixels; the shipped weights were trained on such scenes too."""
    mask = render(seed, index).mask
    touched = sum(int(side.sum()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    assert 0 < touched <= SIZE // 8


def test_the_catalogue_is_as_promised() -> None:
    assert len(CLASSES) >= 10 and len(BACKGROUNDS) >= 6 and set(OUTLINES) == set(CLASSES)


def test_shares_of_difficulty_are_those_stated() -> None:
    counts = Counter(render(3, i).difficulty for i in range(600))
    for name, share in SHARES.items():
        assert counts[name] / 600 == pytest.approx(share, abs=0.06)


def test_the_captioned_object_is_larger_and_nearer_to_the_centre_than_a_distractor() -> None:
    """A distractor is drawn at 0.30-0.45 of the radius, at least 42 pixels from the middle along one axis."""
    for i in range(300):
        scene = render(4, i)
        if not scene.distractor:
            continue
        assert scene.distractor != scene.category
        assert max(abs(c - SIZE / 2) for c in scene.centre) <= 12 < 42


def test_colour_tells_nothing_of_the_class() -> None:
    """Independence of colour word and class by a chi-squared statistic over 2,400 scenes."""
    rows = [render(5, i).caption.split() for i in range(2400)]
    table = np.zeros((len(CLASSES), len(COLOURS)))
    for words in rows:
        table[CLASSES.index(words[2]), list(COLOURS).index(words[1])] += 1
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    statistic, freedom = ((table - expected) ** 2 / expected).sum(), (table.shape[0] - 1) * (table.shape[1] - 1)
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("category", CLASSES)
def test_the_mask_is_the_outline_supersampled(category: str) -> None:
    """An outline drawn at four times the resolution covers the pixels of the mask, up to its own boundary pixels."""
    centre, radius, angle = np.array([64.0, 60.0]), 40.0, 0.3
    coarse = OUTLINES[category](*_object_frame(centre, radius, angle, 1.0)) < 0
    y, x = (np.mgrid[0 : 4 * SIZE, 0 : 4 * SIZE] - 1.5) / 4
    x, y = (x - centre[0]) / radius, (y - centre[1]) / radius
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    fine = (OUTLINES[category](u, v) < 0).reshape(SIZE, 4, SIZE, 4).mean((1, 3))
    certain = (fine == 0) | (fine == 1)
    assert certain.mean() > 0.9 and np.array_equal(coarse[certain], fine[certain] == 1)
    assert coarse.mean() == pytest.approx(fine.mean(), rel=0.02)
