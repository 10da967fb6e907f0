"""Masks: their border, their components, the box of all their pixels and that of their largest component."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cut.masks import border_of, box, largest_box, num_components_of


def test_the_border_is_the_share_of_outermost_pixels():
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 1:5] = True
    assert border_of(mask) == 0 and border_of(np.ones((4, 6), dtype=bool)) == 1
    mask[0, :3] = mask[2, 0] = True
    assert border_of(mask) == pytest.approx(4 / 16)


def test_components_touch_by_corners():
    mask = np.zeros((6, 6), dtype=bool)
    assert num_components_of(mask) == 0
    mask[0, 0] = mask[1, 1] = mask[4, 4] = True
    assert num_components_of(mask) == 2


@given(st.data())
def test_the_box_is_tight(data):
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    y0, x0 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y1, x1 = data.draw(st.integers(y0 + 1, height)), data.draw(st.integers(x0 + 1, width))
    mask = np.zeros((height, width), dtype=bool)
    mask[y0:y1, x0:x1] = True
    assert box(mask) == largest_box(mask) == (x0, y0, x1, y1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_the_box_holds_every_pixel_and_no_smaller_one_does(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) > 0.8
    x0, y0, x1, y1 = box(mask)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    inside = mask[y0:y1, x0:x1]
    for edge in (inside[:1], inside[-1:], inside[:, :1], inside[:, -1:]) if mask.any() else ():
        assert edge.any()
    assert all(value >= 0 for value in (x0, y0)) and x1 <= width and y1 <= height


def test_the_largest_box_is_of_the_largest_component():
    mask = np.zeros((20, 20), dtype=bool)
    mask[1:4, 1:4] = True
    mask[10:15, 12:18] = True
    mask[15, 18] = True  # joined by a corner
    assert largest_box(mask) == (12, 10, 19, 16) and box(mask) == (1, 1, 19, 16)
    assert box(np.zeros((5, 5), dtype=bool)) == largest_box(np.zeros((5, 5), dtype=bool)) == (0, 0, 0, 0)
