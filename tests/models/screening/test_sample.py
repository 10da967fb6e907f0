"""Scores of one sample: the entropy of its objectness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.screening.sample import entropy_of


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
