"""Screening's reasons and their order, and the box of a mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import ScreenConfig
from models.screening import box, screen

NAN = float("nan")


@pytest.mark.parametrize(
    ("area", "uncertainty", "score", "num_classes", "reason"),
    [
        (0.3, 0.5, 0.9, 2, ""),
        (0.3, 0.5, None, 2, ""),
        (0.0, 0.99, 0.0, 2, "empty"),
        (0.01, 0.99, 0.0, 2, "too small"),
        (0.9, 0.99, 0.0, 2, "too large"),
        (0.3, 0.99, 0.0, 2, "uncertain"),
        (0.3, NAN, 0.9, 2, "uncertain"),
        (0.3, 0.5, 0.5, 2, "wrong class"),  # chance is not above chance
        (0.3, 0.5, 0.51, 2, ""),
        (0.3, 0.5, NAN, 2, "wrong class"),
        (0.3, 0.5, 1.0, 1, ""),
        (0.3, 0.5, NAN, 1, "wrong class"),
    ],
)
def test_the_first_failing_test_is_the_reason(area, uncertainty, score, num_classes, reason):
    config = ScreenConfig(min_area=0.02, max_area=0.85, max_uncertainty=0.9)
    assert screen(area, uncertainty, score, config, num_classes) == (reason == "", reason)


def test_an_explicit_confidence_replaces_chance():
    assert screen(0.3, 0.1, 0.4, ScreenConfig(min_clip=0.4), 2) == (True, "")
    assert screen(0.3, 0.1, 0.6, ScreenConfig(min_clip=0.7), 2) == (False, "wrong class")


@given(st.data())
def test_the_box_is_tight(data):
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    y0, x0 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y1, x1 = data.draw(st.integers(y0 + 1, height)), data.draw(st.integers(x0 + 1, width))
    mask = np.zeros((height, width), dtype=bool)
    mask[y0:y1, x0:x1] = True
    assert box(mask) == (x0, y0, x1, y1)


def test_the_box_is_of_the_largest_component():
    mask = np.zeros((20, 20), dtype=bool)
    mask[1:4, 1:4] = True
    mask[10:15, 12:18] = True
    mask[15, 18] = True  # joined by a corner
    assert box(mask) == (12, 10, 19, 16)
    assert box(np.zeros((5, 5), dtype=bool)) == (0, 0, 0, 0)
