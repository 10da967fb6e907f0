"""Splits: exact sizes, every class shared out alike, the same on every run, and bad shares refused in one line."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.config.export import ExportConfig, shares_of
from storage.exports.splits import apportion, split, stratify

SHARES = st.sampled_from(["1", "0.7,0.2,0.1", "0.5,0.5", "0.333,0.333,0.334", "train=0.85,test=0.15", "0.9,0.05,0.05"])
CLASSES = st.lists(st.integers(1, 40), min_size=1, max_size=20)


@given(SHARES, CLASSES)
def test_sizes_are_exact_and_each_class_is_shared_out_to_within_one(text, sizes):
    shares, named = shares_of(text), {str(i): size for i, size in enumerate(sizes)}
    totals = apportion(sum(sizes), shares)
    counts = stratify(named, shares, totals)
    for category, size in named.items():
        assert sum(counts[category].values()) == size
        assert all(counts[category][name] >= 0 for name in shares)
        assert all(abs(counts[category][name] - size * share) <= 1 for name, share in shares.items())
    assert {name: sum(of_class[name] for of_class in counts.values()) for name in shares} == totals


@given(st.integers(0, 10**7), SHARES)
@example(10, "0.7,0.2,0.1")
def test_parts_sum_to_the_count_and_are_the_shares_rounded(count, text):
    shares = shares_of(text)
    parts = apportion(count, shares)
    assert sum(parts.values()) == count
    assert all(abs(parts[name] - count * share) < 1 for name, share in shares.items())


@pytest.mark.parametrize("count", [10, 20, 70, 100, 2000, 10**6])
def test_no_float_misleads(count):
    assert list(apportion(count, shares_of("0.7,0.2,0.1")).values()) == [7 * count // 10, count // 5, count // 10]


def split_of(samples, shares, seed):
    """`split` of pairs (index, category)."""
    return split([index for index, _ in samples], [category for _, category in samples], shares, seed)


@given(SHARES, CLASSES, st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_splits_part_the_samples_whatever_their_order(text, sizes, seed, random):
    shares = shares_of(text)
    categories = [str(c) for c, size in enumerate(sizes) for _ in range(size)]
    samples = list(enumerate(categories))
    if 0 in apportion(len(samples), shares).values():
        with pytest.raises(ValueError, match="without any"):
            split_of(samples, shares, seed)
        return
    found = split_of(samples, shares, seed)
    assert sorted(index for chosen in found.values() for index in chosen) == list(range(len(samples)))
    assert all(chosen == sorted(chosen) for chosen in found.values())
    random.shuffle(samples)
    assert split_of(samples, shares, seed) == found


def test_the_split_of_a_seed_is_for_all_time():
    shares = shares_of("0.5,0.25,0.25")
    indices, categories = list(range(8)), list("aaaabbbb")
    assert split(indices, categories, shares, 0) == {"train": [2, 3, 4, 7], "val": [0, 6], "test": [1, 5]}
    assert split(indices, categories, shares, 2) == {"train": [1, 2, 5, 6], "val": [3, 7], "test": [0, 4]}


@pytest.mark.parametrize(
    "text, said",
    [
        ("0.7,0.2,0.2", "sums to 1.1"),
        ("0.7", "sum to 1"),
        ("1,0", "above 0"),
        ("-0.5,1.5", "above 0"),
        ("nan,1", "above 0"),
        ("1e999999999", "above 0"),
        ("٠.٥,0.5", "above 0"),
        ("", "above 0"),
        ("0.5,0.25,0.15,0.1", "one to three"),
        ("train=0.5,0.5", "every share or for none"),
        ("a=0.5,A=0.5", "differ"),
        ("../x=1", "letters"),
        ("a b=1", "letters"),
        ("=1", "letters"),
        ("all=1", "letters"),
        ("train\n=1,", "every share or for none"),
    ],
)
def test_bad_shares_are_refused(text, said):
    with pytest.raises(ValidationError, match=said):
        ExportConfig(format="coco", split=text)


def test_shares_are_exact():
    shares = ExportConfig(format="coco", split=" train = 0.7 , val=.2,test=0.1").shares()
    assert shares == {"train": Fraction(7, 10), "val": Fraction(1, 5), "test": Fraction(1, 10)}
