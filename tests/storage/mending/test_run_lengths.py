"""The run lengths of CVAT and Label Studio: any mask comes back, by our decoder and by a slow one from the notes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import UserError
from storage.mending.run_lengths import counts_of, mask_of, packed, unpacked
from tests.storage.mending.people import literal_rle

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 40)))
LARGE = [np.zeros((300, 257), bool), np.ones((300, 257), bool), np.indices((200, 400)).sum(axis=0) % 397 > 5]


@given(MASKS)
def test_counts_are_the_runs_from_background_on(mask):
    runs = [(value, len(list(run))) for value, run in itertools.groupby(mask.ravel().tolist())]
    assert counts_of(mask) == [0] * runs[0][0] + [length for _, length in runs]
    np.testing.assert_array_equal(mask_of(counts_of(mask), mask.shape), mask)


@given(MASKS)
def test_bytes_come_back(mask):
    np.testing.assert_array_equal(unpacked(packed(mask), mask.shape), mask)
    np.testing.assert_array_equal(unpacked(literal_rle(mask), mask.shape), mask)


@pytest.mark.parametrize("mask", LARGE)
def test_runs_longer_than_a_length_holds_come_back(mask):
    np.testing.assert_array_equal(unpacked(packed(mask), mask.shape), mask)


@given(MASKS)
def test_all_four_channels_are_written(mask):
    """As a reader that does not know of alpha sees them; decoded bit by bit."""
    stream = iter("".join(f"{byte:08b}" for byte in packed(mask)))

    def take(count: int) -> int:
        return int("".join(itertools.islice(stream, count)), 2)

    size, word, lengths = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < size:
        is_run = take(1)
        length = take(lengths[take(2)]) + 1
        values += [take(word)] * length if is_run else [take(word) for _ in range(length)]
    expected = np.repeat(mask[..., None], 4, axis=2) * 255
    np.testing.assert_array_equal(np.reshape(values, (*mask.shape, 4)), expected)


@given(MASKS, st.data())
def test_bytes_that_are_cut_off_or_of_another_size_are_refused(mask, data):
    whole = packed(mask)
    cut = data.draw(st.integers(0, len(whole) - 2))
    for rle, shape in ((whole[:cut], mask.shape), (whole, (mask.shape[0] + 1, mask.shape[1])), ([300], (1, 1))):
        with pytest.raises(UserError):
            unpacked(rle, shape)


@pytest.mark.parametrize("counts", [[], [3], [3, 4], [-1, 7], [6, 0, 1]])
def test_counts_that_do_not_fill_the_box_are_refused(counts):
    with pytest.raises(UserError, match="2 x 3"):
        mask_of(counts, (3, 2))
