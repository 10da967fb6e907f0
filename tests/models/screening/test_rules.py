"""The rules of one sample alone: reasons and their order, strictness, and the columns that follow from the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config.build import BuildConfig
from models.config.screening import ScreenConfig
from models.screening.rules import RULES, Rule, columns_read, columns_scored, reasons, scores

NAN = float("nan")
GOOD = {"area": 0.3, "border": 0.0, "num_components": 1, "uncertainty": 0.5, "entropy": 0.9, "clip_score": 0.9}
ALL_ON = ScreenConfig(max_uncertainty=0.9, max_border=0.2, max_components=2)


def reason(config=ALL_ON, num_names=2, **scores) -> str:
    return reasons({name: np.array([value]) for name, value in (GOOD | scores).items()}, config, num_names)[0]


@pytest.mark.parametrize(
    "scores, expected",
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
    with pytest.raises(ValueError, match="screen.min_area: expected at most screen.max_area, 0.1, got 0.5"):
        ScreenConfig(min_area=0.5, max_area=0.1)
    assert ScreenConfig(min_area=0.1, max_area=0.1).max_area == 0.1


def test_images_cannot_be_compared_without_clip():
    with pytest.raises(ValueError, match="screen.duplicate_image: compares CLIP's embeddings"):
        ScreenConfig(clip="none", duplicate_image=0.9)


def test_each_rule_reads_what_it_says_and_no_more():
    """A rule given its columns alone passes or fails a sample; without one of them it cannot."""
    for reason, rule in RULES.items():
        if rule.passes is None:
            continue
        columns = {name: np.array([GOOD[name]]) for name in rule.reads}
        assert rule.passes(columns, ALL_ON, 2).shape == (1,), reason
        for name in columns:
            with pytest.raises(KeyError):
                rule.passes({other: columns[other] for other in columns if other != name}, ALL_ON, 2)


def test_a_score_that_is_unwritten_passes_no_rule():
    for rule in RULES.values():
        if rule.passes is not None:
            kinds = {name: scores()[name].dtype if name in scores() else "f4" for name in rule.reads}
            unwritten = {name: np.array([0 if kind == "i4" else NAN], dtype=kind) for name, kind in kinds.items()}
            assert not rule.passes(unwritten, ALL_ON, 2).any()


def test_clips_rule_comes_last_of_those_of_one_sample_so_that_the_top_up_takes_none_that_fails_another(monkeypatch):
    monkeypatch.setitem(RULES, "never", Rule(("area",), lambda of, config, num_names: of["area"] > 2))
    assert list(RULES)[-1] == "never" and reason(clip_score=0.0) == "never"


def test_columns_follow_from_the_active_rules():
    assert list(scores()) == ["border", "num_components", "clip_score", "entropy"]
    assert columns_read(ScreenConfig(clip="none")) == ["area", "uncertainty"]
    assert columns_scored(ScreenConfig(clip="none")) == []
    assert columns_scored(ALL_ON) == ["border", "num_components", "clip_score"]
    every = ScreenConfig(
        max_border=0.1, max_components=1, duplicate_image=0.9, duplicate_prompt=0.9, drop_uncertain=0.1
    )
    assert columns_scored(every) == ["border", "num_components", "clip_score", "embedding", "entropy"]
