"""The bootstrap's intervals against what theory says of means."""

import numpy as np
import pytest

from benchmarks.intervals import difference_interval, mean_interval, sign_of, words


def test_the_interval_of_a_normal_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(0.7, 0.1, 400)
    mean, low, high = mean_interval(values)
    reach = 1.96 * values.std() / np.sqrt(len(values))
    assert mean == pytest.approx(values.mean(), abs=1e-4)
    assert low == pytest.approx(values.mean() - reach, abs=0.15 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.15 * reach)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [mean_interval(rng.beta(8, 2, 100)) for _ in range(300)]
    covered = np.mean([low <= 0.8 <= high for _, low, high in intervals])
    assert 0.91 <= covered <= 0.985


def test_equal_values_have_no_width_and_a_repetition_changes_nothing() -> None:
    assert mean_interval(np.full(7, 0.25)) == [0.25, 0.25, 0.25]
    values = np.random.default_rng(2).random(50)
    assert mean_interval(values) == mean_interval(values)


def test_a_paired_difference_is_told_apart_where_single_means_are_not() -> None:
    rng = np.random.default_rng(3)
    first = rng.normal(0.7, 0.2, 200)
    second = first + rng.normal(0.01, 0.02, 200)
    (_, _, high), (_, low, _) = mean_interval(first), mean_interval(second)
    assert low < high  # the two intervals overlap
    assert sign_of(mean_interval(second - first)) == 1
    assert sign_of(mean_interval(first - second)) == -1
    assert sign_of(mean_interval(np.concatenate([first, -first]))) == 0


def test_the_interval_of_a_difference_is_the_textbooks() -> None:
    rng = np.random.default_rng(4)
    ours, others = rng.normal(0.9, 0.05, 500), rng.normal(0.8, 0.2, 40)
    mean, low, high = difference_interval(ours, others)
    reach = 1.96 * np.sqrt(ours.var() / len(ours) + others.var() / len(others))
    assert mean == pytest.approx(ours.mean() - others.mean(), abs=1e-4)
    assert (low, high) == (pytest.approx(mean - reach, abs=0.2 * reach), pytest.approx(mean + reach, abs=0.2 * reach))


def test_words_show_mean_and_both_ends() -> None:
    assert words([0.97123, 0.9601, 0.98]) == "0.971 [0.960, 0.980]"
