"""The tests of one sample alone: reasons and their order, strictness, the scores they look at, and a mask's box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config.build import BuildConfig
from models.config.screening import ScreenConfig
from models.cut.masks import border_of, box, num_components_of
from models.screening.sample import entropy_of, reasons

NAN = float("nan")
GOOD = {"area": 0.3, "border": 0.0, "num_components": 1, "uncertainty": 0.5, "entropy": 0.9, "clip_score": 0.9}
ALL_ON = ScreenConfig(max_uncertainty=0.9, max_border=0.2, max_components=2)


def reason(config=ALL_ON, num_names=2, **scores) -> str:
    return reasons({name: np.array([value]) for name, value in (GOOD | scores).items()}, config, num_names)[0]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, ""),
        ({"area": 0.0, "border": 1.0, "num_components": 0}, "empty"),
        ({"area": NAN}, "empty"),
        ({"area": 0.01, "border": 1.0, "uncertainty": 0.99}, "too small"),
        ({"area": 0.9, "border": 1.0, "num_components": 9, "uncertainty": 0.99, "clip_score": 0.0}, "too large"),
        ({"border": 0.21, "num_components": 9}, "at the border"),
        ({"border": NAN}, "at the border"),
        ({"num_components": 3, "uncertainty": 0.99}, "in pieces"),
        ({"num_components": 0}, "in pieces"),  # not counted
        ({"uncertainty": 0.99, "clip_score": 0.0}, "uncertain"),
        ({"uncertainty": NAN}, "uncertain"),
        ({"clip_score": 0.5}, "wrong class"),  # chance is not above chance
        ({"clip_score": 0.51}, ""),
        ({"clip_score": NAN}, "wrong class"),
    ],
    ids=str,
)
def test_the_first_failing_test_is_the_reason(scores, expected):
    assert reason(**scores) == expected


def test_a_test_that_is_off_lets_everything_pass():
    off = ScreenConfig(clip="none")
    assert reason(off, border=1.0, num_components=99, clip_score=NAN) == ""


def test_an_explicit_confidence_replaces_chance():
    assert reason(ScreenConfig(min_clip=0.4), clip_score=0.4) == ""
    assert reason(ScreenConfig(min_clip=0.7), clip_score=0.6) == "wrong class"


def test_chance_is_of_all_the_names_and_not_of_the_classes_asked_for():
    assert reason(clip_score=0.1, num_names=12) == "" and reason(clip_score=0.08, num_names=12) == "wrong class"


@given(st.data())
def test_a_stricter_bound_never_keeps_more(data):
    share = st.floats(0, 1, width=32)
    kinds = {name: share | st.just(NAN) for name in GOOD} | {"num_components": st.integers(0, 5)}
    table = {name: np.array(data.draw(st.lists(kind, min_size=9, max_size=9))) for name, kind in kinds.items()}
    fields = {"max_area": share, "max_border": share, "max_uncertainty": share, "max_components": st.integers(1, 5)}
    mirrored = {"min_area": share, "min_clip": share}
    name = data.draw(st.sampled_from([*fields, *mirrored]))
    low, high = sorted(data.draw(st.tuples(*[(fields | mirrored)[name]] * 2)))
    strict, mild = (low, high) if name in fields else (high, low)
    bounds = {"min_area": 0.0, "max_area": 1.0}
    kept = [reasons(table, ScreenConfig(**bounds | {name: value}), 3) == "" for value in (strict, mild)]
    assert not (kept[0] & ~kept[1]).any()


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


@given(st.lists(st.floats(1e-4, 1 - 1e-4), min_size=20, max_size=20), st.randoms())
def test_entropy_is_of_the_most_uncertain_tenth_wherever_it_lies(values, random):
    def bits(p):
        return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))

    expected = np.mean(sorted(bits(p) for p in values)[-2:])
    random.shuffle(values)
    assert entropy_of(np.array(values).reshape(4, 5)) == pytest.approx(expected)


def test_entropy_ends():
    assert entropy_of(np.full((4, 4), 0.5)) == 1 and entropy_of(np.array([[0.0, 1.0]])) == 0
    assert np.isnan(entropy_of(np.full((4, 4), np.nan)))


def test_a_stored_config_means_by_a_later_field_what_it_did_before():
    """New datasets have their backbone's preset; a stored one without the fields was screened without the tests."""
    for backbone, bounds in (("pocket", (0.06, 0.85)), ("some/model", (0.1, 0.5))):
        new = BuildConfig(classes=("ball",), count=1, backbone=backbone)
        assert (new.screen.min_area, new.screen.max_area) == bounds and new.screen.drop_uncertain == 0.1
        stored = new.model_dump(mode="json", by_alias=True)
        assert BuildConfig.of_stored(stored) == new
        del stored["screen"]["drop_uncertain"]
        assert BuildConfig.of_stored(stored).screen.drop_uncertain == 0.0


def test_bounds_that_no_mask_can_pass_are_refused():
    with pytest.raises(ValueError, match="screen.min_area: expected screen.max_area, 0.1, at most, got 0.5"):
        ScreenConfig(min_area=0.5, max_area=0.1)
    assert ScreenConfig(min_area=0.1, max_area=0.1).max_area == 0.1


def test_images_cannot_be_compared_without_clip():
    with pytest.raises(ValueError, match="screen.duplicate_image: compares CLIP's embeddings"):
        ScreenConfig(clip="none", duplicate_image=0.9)


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
