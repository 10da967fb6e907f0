"""Diversity of prompts against its definition, pair by pair."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.diversity import HASHED, MEASURED, hashed, prompt_diversity, spread

texts = st.lists(st.lists(st.sampled_from(["a", "dog", "on", "Hill", "sea"]), max_size=5).map(" ".join), max_size=8)


@given(texts)
def test_it_is_what_its_definition_says(prompts):
    found = prompt_diversity(prompts, ["x"] * len(prompts))
    words = [text.lower().split() for text in prompts]
    for n in (1, 2, 3):
        grams = [" ".join(w[i : i + n]) for w in words for i in range(len(w)) if len(w[i : i + n]) == n]
        assert found[f"distinct_{n}"] == (len(set(grams)) / len(grams) if grams else None)
    pairs = [1 - u @ v for u, v in combinations(hashed(prompts), 2)]
    assert found["spread"] == found["spread_within"] == (pytest.approx(np.mean(pairs)) if pairs else None)
    assert found["embedding"] == HASHED and found["prompts"] == found["measured"] == len(prompts)


def test_more_different_prompts_measure_higher():
    same = prompt_diversity(["a dog on a hill"] * 9, ["dog"] * 9)
    assert same["spread"] == pytest.approx(0) and same["distinct_1"] == 4 / 45
    words = [f"dog {i} by water {i * i}" for i in range(9)]
    other = prompt_diversity(words, ["dog"] * 9)
    assert all(other[key] > same[key] for key in ("distinct_1", "distinct_2", "distinct_3", "spread"))


def test_within_a_class_is_apart_from_between_classes():
    axes = {"dog": [1.0, 0.0], "cat": [0.0, 1.0]}
    names = ["dog", "dog", "cat", "cat", "owl"]
    found = prompt_diversity(names, names, ("axes", lambda t: np.array([axes.get(x, [-1.0, 0.0]) for x in t])))
    assert found["embedding"] == "axes" and found["spread_within"] == pytest.approx(0) and found["spread"] > 0.5


def test_large_sets_are_measured_in_part_and_none_in_none():
    many = prompt_diversity([f"dog {i}" for i in range(5000)], ["dog"] * 5000)
    assert (many["prompts"], many["measured"]) == (5000, MEASURED)
    none = prompt_diversity([], [])
    assert none["distinct_1"] is none["spread"] is none["spread_within"] is None
    assert spread(np.zeros((1, 3))) is None
