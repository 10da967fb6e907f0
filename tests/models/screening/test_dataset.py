"""The tests that compare samples: shares dropped exactly, duplicates of the earliest, the top-up, and invariances."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config.screening import ScreenConfig
from models.screening.dataset import most_uncertain, topped_up, verdicts
from models.screening.similarity import BLOCK, image_similarity, prompt_similarity, words

OFF = {"min_area": 0.02, "max_uncertainty": 1.0}


def table(n: int, seed: int = 0, classes: int = 3) -> dict[str, np.ndarray]:
    """Samples that pass all tests of each alone but CLIP's now and then, with ties and look-alikes among them."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(max(1, n // 2), 4))
    return {
        "area": rng.uniform(0.1, 0.5, n).astype(np.float32),
        "border": np.zeros(n, np.float32),
        "num_components": np.ones(n, np.int32),
        "uncertainty": np.zeros(n, np.float32),
        "entropy": rng.integers(0, 6, n).astype(np.float32) / 6,
        "clip_score": rng.uniform(0, 1, n).astype(np.float32),
        "category": np.array([("ball", "Ring", "étoile")[i] for i in rng.integers(0, classes, n)], dtype=object),
        "prompt": np.array([f"a {i} ball" for i in rng.integers(0, n, n)], dtype=object),
        "embedding": directions[rng.integers(0, len(directions), n)].astype(np.float16),
    }


def kept(samples, **fields) -> np.ndarray:
    return verdicts(samples, ScreenConfig(**(OFF | fields)), 4)[0] == ""


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=40), st.floats(0, 0.99), st.randoms())
def test_exactly_the_share_is_dropped_and_it_is_the_worst(scores, share, random):
    passing = np.array([random.random() < 0.7 for _ in scores], dtype=bool)
    scores = np.array(scores)
    dropped = most_uncertain(passing, scores, share)
    assert not (dropped & ~passing).any()
    assert dropped.sum() == int(share * passing.sum() + 1e-6)
    left = passing & ~dropped
    if dropped.any() and left.any():
        assert scores[left].max() <= scores[dropped].min()
        for i in np.flatnonzero(dropped):  # of equals the earlier stay
            assert not (left[i:] & (scores[i:] == scores[i])).any()


def test_shares_are_decimal():
    for share, n, expected in ((0.1, 30, 3), (0.29, 100, 29), (0.1, 9, 0), (0.7, 10, 7)):
        assert most_uncertain(np.ones(n, bool), np.zeros(n), share).sum() == expected


def test_a_score_that_is_missing_is_dropped_whatever_the_share():
    scores = np.array([0.1, np.nan, 0.9, np.nan])
    assert most_uncertain(np.ones(4, bool), scores, 0.25).tolist() == [False, True, False, True]
    assert not most_uncertain(np.ones(4, bool), scores, 0.0).any()


def test_too_few_of_a_class_are_topped_up_by_the_most_confident():
    verdict = np.array(["", "wrong class", "wrong class", "too small", "wrong class", "", "", "wrong class"], object)
    category = np.array(["a", "a", "a", "a", "a", "b", "b", "a"], object)
    score = np.array([0.9, 0.2, 0.1, 0.8, 0.2, 0.9, 0.9, np.nan])
    taken = [np.flatnonzero(topped_up(verdict, category, score, wanted)).tolist() for wanted in range(6)]
    assert taken == [[], [], [1], [1, 4], [1, 2, 4], [1, 2, 4]]


def test_a_topped_up_sample_is_kept_and_meets_the_other_tests():
    samples = table(60)
    few, all_of_them = kept(samples, min_clip=0.9), kept(samples, min_clip=0.9, clip_top_up=60)
    assert few.sum() < 15 and all_of_them.all()
    some = kept(samples, min_clip=0.9, clip_top_up=10)
    names, counts = np.unique(samples["category"][some], return_counts=True)
    assert len(names) == 3 and (counts >= 10).all()
    assert kept(samples, min_clip=0.9, clip_top_up=60, drop_uncertain=0.5).sum() == 30


def slow_duplicates(samples, similar) -> np.ndarray:
    """Like an earlier one of its class, pair by pair."""
    found = np.zeros(len(samples["area"]), dtype=bool)
    for i in range(len(found)):
        same = [j for j in range(i) if samples["category"][j] == samples["category"][i]]
        found[i] = any(similar(i, j) for j in same)
    return found


@given(st.integers(1, 40), st.integers(0, 9), st.sampled_from([0.3, 0.8, 1.0]))
def test_duplicates_are_of_the_earliest_of_their_class(n, seed, bound):
    samples = table(n, seed)
    unit = samples["embedding"].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    images = slow_duplicates(samples, lambda i, j: round(unit[i] @ unit[j], 4) >= bound)
    np.testing.assert_array_equal(kept(samples, min_clip=0, duplicate_image=bound), ~images)

    def jaccard(i, j):
        one, other = (set(samples["prompt"][k].split()) for k in (i, j))
        return len(one & other) / len(one | other)

    prompts = slow_duplicates(samples, lambda i, j: round(jaccard(i, j), 4) >= bound)
    np.testing.assert_array_equal(kept(samples, min_clip=0, duplicate_prompt=bound), ~prompts)


def test_a_sample_that_fails_a_test_of_its_own_has_no_duplicates():
    samples = table(2, classes=1)
    samples["embedding"][1] = samples["embedding"][0]
    assert kept(samples, min_clip=0, duplicate_image=0.99).tolist() == [True, False]
    samples["area"][0] = 0.001
    assert kept(samples, min_clip=0, duplicate_image=0.99).tolist() == [False, True]


def test_similarity_says_how_near_the_nearest_is():
    samples = table(30, classes=1)
    _, similarity = verdicts(samples, ScreenConfig(**OFF, min_clip=0, duplicate_image=1.0), 4)
    assert np.isnan(similarity[0]) and np.isfinite(similarity[1:]).all() and similarity[1:].max() == 1
    assert np.isnan(verdicts(samples, ScreenConfig(**OFF), 4)[1]).all()


def test_blocks_change_nothing():
    rows = np.random.default_rng(1).normal(size=(2 * BLOCK + 3, 5))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    products = np.where(np.tri(len(rows), k=-1, dtype=bool), unit @ unit.T, -np.inf)
    np.testing.assert_allclose(image_similarity(rows), products.max(axis=1), atol=2e-4)
    assert prompt_similarity(["b a"] * (BLOCK + 1))[1:].min() == 1


def test_words_have_no_case_punctuation_or_order():
    assert words("A red Ball, on grass.") == words("on GRASS a ｒｅｄ ball")
    assert prompt_similarity(["!!!", "", "a b", "b, A"]).tolist() == [-np.inf, 0, 0, 1]


RULES = [
    ("drop_uncertain", [0.0, 0.1, 0.5, 0.9]),
    ("duplicate_image", [None, 1.0, 0.9, 0.1]),
    ("duplicate_prompt", [None, 1.0, 0.9, 0.1]),
    ("clip_top_up", [30, 20, 10, 0]),
]


@pytest.mark.parametrize("name, values", RULES)
def test_a_stricter_rule_never_keeps_more(name, values):
    found = [kept(table(80), min_clip=0.6, **{name: value}) for value in values]
    for mild, strict in itertools.pairwise(found):
        assert not (strict & ~mild).any() and strict.sum() <= mild.sum()
    assert found[-1].sum() < found[0].sum()


def test_nothing_to_judge_is_judged():
    reason, similarity = verdicts(table(0), ScreenConfig(drop_uncertain=0.5, duplicate_image=0.5, clip_top_up=3), 4)
    assert len(reason) == len(similarity) == 0
