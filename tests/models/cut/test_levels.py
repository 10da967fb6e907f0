"""Adaptive thresholds: Otsu's division against a slow reference, its invariances, and masks over any ground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.config.cut import ADAPTIVE_LAMBDA, CutConfig
from models.cut.attentioncut import Evidence, cut, objectness_of
from models.cut.levels import best_sum, taus_of, two_levels, with_half_at
from models.cut.seeds import normalise, refined_map, seed_columns

VALUES = arrays(np.float32, (5, 7), elements=st.integers(0, 40).map(lambda n: n / 40))


def slow_otsu(values: np.ndarray) -> tuple[float, float]:
    """(variance between the groups over all variance, threshold), by trying every division."""
    x = values.astype(np.float64).ravel()
    found = [(0.0, float(x.max()))]
    levels = np.unique(x)
    for low, high in zip(levels, levels[1:], strict=False):
        one, other = x[x <= low], x[x >= high]
        between = one.size * other.size * (one.mean() - other.mean()) ** 2 / x.size**2
        found.append((between / x.var(), (low + high) / 2))
    return max(found, key=lambda pair: pair[0])


@given(VALUES)
def test_the_division_is_otsus(values):
    explained, threshold = slow_otsu(values)
    got = two_levels(values)
    assert got.explained == pytest.approx(explained, abs=1e-9)
    one, other = values[values <= got.threshold], values[values > got.threshold]
    if explained:  # of divisions that are equally good, any
        between = one.size * other.size * (one.mean(dtype=float) - other.mean(dtype=float)) ** 2 / values.size**2
        assert between / values.var(dtype=float) == pytest.approx(explained, abs=1e-6)


@given(VALUES, st.floats(0.01, 100), st.floats(-10, 10))
def test_scale_and_ground_change_nothing(values, scale, ground):
    moved = values.astype(np.float64) * scale + ground
    assert two_levels(moved).explained == pytest.approx(two_levels(values).explained, abs=1e-6)


def test_two_flat_levels_are_parted_in_the_middle():
    values = np.where(np.arange(30).reshape(5, 6) < 7, 0.8, 0.3)
    found = two_levels(values)
    assert found.threshold == pytest.approx(0.55) and found.explained == pytest.approx(1)


@given(VALUES)
def test_half_stands_at_the_threshold_and_order_is_kept(values):
    threshold = two_levels(values).threshold
    scaled = with_half_at(values, threshold)
    assert scaled.dtype == np.float32 and scaled.min() >= 0 and scaled.max() <= 1
    order = np.argsort(values, axis=None)
    assert (np.diff(scaled.ravel()[order]) >= 0).all()
    if values.max() > values.min():
        np.testing.assert_array_equal(scaled > 0.5, values > threshold)
        assert scaled.min() == 0 and scaled.max() == 1


@given(VALUES)
def test_tau_lies_within_the_map(values):
    scaled = normalise(values)
    taus = taus_of(scaled)
    assert list(taus) == sorted(taus) and all(0 <= tau <= 1 for tau in taus)


def test_a_constant_map_shows_no_object():
    flat = np.full((6, 6), 0.3, dtype=np.float32)
    assert two_levels(flat).explained == 0
    evidence = Evidence(flat, np.zeros((6, 6), dtype=np.float32), np.zeros((4, 6, 6), dtype=np.float32))
    assert not cut(np.zeros((48, 48, 3), dtype=np.uint8), evidence, CutConfig()).mask.any()


def scene(ground: float, cell: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, truth, class map over a ground, and A_s (N, N) of a disc on 24x24 cells."""
    rows, columns = np.mgrid[:24, :24]
    truth = (rows - 11) ** 2 + (columns - 13) ** 2 < 36
    rng = np.random.default_rng(0)
    class_map = ground + (1 - ground) * truth * (0.6 + 0.4 * np.cos((rows - 11) / 6))
    class_map = np.clip(class_map + 0.03 * rng.standard_normal(truth.shape), 0, None).astype(np.float32)
    alike = np.where(truth.ravel()[:, None] == truth.ravel(), 1.0, 0.1)
    attention = (alike / alike.sum(1, keepdims=True)).astype(np.float32)
    image = np.where(truth[..., None], (180, 120, 60), (60, 110, 90)).astype(np.uint8)
    return image.repeat(cell, 0).repeat(cell, 1), truth.repeat(cell, 0).repeat(cell, 1), class_map, attention


@pytest.mark.parametrize("ground", [0.0, 0.1, 0.3, 0.6])
def test_the_object_is_found_over_any_ground(ground):
    from models.cut.attentioncut import attentioncut

    image, truth, class_map, attention = scene(ground)
    mask = attentioncut(image, class_map, attention, CutConfig())
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95


def test_the_seeds_and_the_weight_are_those_that_two_levels_explain_best():
    """r(p) and the sum of a build, against every tau and alpha tried in turn."""
    _, _, class_map, attention = scene(0.3)
    columns, config = seed_columns(attention, 24, 24), CutConfig()
    scaled = normalise(class_map)
    tried = [refined_map(columns, class_map, CutConfig(tau=tau)) for tau in taus_of(scaled)]
    refined = refined_map(columns, class_map, config)
    explained = [best_sum(scaled, normalise(r))[1].explained for r in tried]
    np.testing.assert_array_equal(refined, tried[int(np.argmax(explained))])
    total, levels = best_sum(scaled, normalise(refined))
    raw = objectness_of(Evidence(class_map, refined, np.zeros((4, 24, 24), np.float32)), config)[0]
    np.testing.assert_array_equal(raw > 0.5, total > levels.threshold)


def test_the_paper_is_one_word_away_or_meant_by_its_numbers():
    paper = CutConfig(thresholds="paper")
    assert (paper.tau, paper.alpha, paper.objectness, paper.lambda_) == (0.16, 2.5, "sum", 0.1)
    for value in ({"tau": 0.16}, {"alpha": 2.5}, {"objectness": "sum"}):
        assert CutConfig.model_validate(value) == paper
    assert CutConfig().thresholds == "adaptive" and CutConfig().lambda_ == ADAPTIVE_LAMBDA
    assert CutConfig.model_validate({"lambda": 2.0}).thresholds == "adaptive"
    assert CutConfig.model_validate({"lambda": 2.0}).lambda_ == 2.0


def test_a_cut_stored_before_there_was_a_choice_is_the_papers():
    stored = CutConfig(thresholds="paper").model_dump(mode="json", by_alias=True)
    del stored["thresholds"]
    assert CutConfig.model_validate(stored, context={"stored": True}) == CutConfig(thresholds="paper")


@given(st.sampled_from(["adaptive", "paper"]), st.floats(0, 1), st.floats(0, 10))
def test_a_cut_survives_being_written_down(thresholds, tau, smoothness):
    config = CutConfig.model_validate({"thresholds": thresholds, "tau": tau, "lambda": smoothness})
    assert CutConfig.model_validate(config.model_dump(mode="json", by_alias=True)) == config
