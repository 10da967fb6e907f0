"""Reading for training: sides that stay, an order that follows from (seed, epoch), and batches known by number."""

from itertools import islice

import numpy as np
import pytest
import torch

from benchmarks.rendered import rendered_dataset
from storage.runs.loader import KeptSamples, all_batches, batch_positions, batches_in_epoch, split, training_batches


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return rendered_dataset(tmp_path_factory.mktemp("rendered") / "data", 10, rejected=(3,))


def test_a_sample_stays_on_its_side_when_the_dataset_grows():
    few, many = split(np.arange(200), 0.1), split(np.arange(5000), 0.1)
    for side, larger in zip(few, many, strict=True):
        np.testing.assert_array_equal(side, larger[larger < 200])
    assert 0.08 < len(many[1]) / 5000 < 0.12
    assert set(few[0]) | set(few[1]) == set(range(200)) and not set(few[0]) & set(few[1])


@pytest.mark.parametrize("validation", [1e-9, 0.5, 1 - 1e-9])
def test_no_side_is_empty(validation):
    train, held_out = split(np.array([4, 17, 90]), validation)
    assert len(train) and len(held_out) and len(train) + len(held_out) == 3


def test_a_smaller_limits_samples_are_among_a_larger_ones_and_validation_stays():
    indices = np.arange(3, 900, 2)
    everything, held_out = split(indices, 0.1)
    before: set[int] = set()
    for limit in (1, 2, 50, 300, len(everything)):
        train, same = split(indices, 0.1, limit)
        assert len(train) == limit and before < set(train.tolist()) <= set(everything.tolist())
        np.testing.assert_array_equal(same, held_out)
        np.testing.assert_array_equal(train, np.sort(train))
        before = set(train.tolist())
    few, _ = split(indices, 0.1, 100)
    assert 250 < few.mean() < 650  # not the first ones, which in a folder may be of one class
    with pytest.raises(ValueError, match=f"limit: expected at most {len(everything)}, the number of training samples"):
        split(indices, 0.1, len(everything) + 1)


def test_fewer_than_two_samples_are_refused():
    with pytest.raises(ValueError, match="at least two kept samples"):
        split(np.array([3]), 0.1)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_epoch_holds_each_sample_once_and_each_epoch_another_order(processes):
    in_epoch = batches_in_epoch(13, 3, processes)
    ranks = [list(islice(batch_positions(13, 3, 5, 0, r, processes), 3 * in_epoch)) for r in range(processes)]
    assert all(len(batch) == 3 for batches in ranks for batch in batches)
    epochs = [
        [p for batches in ranks for batch in batches[e * in_epoch : (e + 1) * in_epoch] for p in batch]
        for e in range(3)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 12
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("start", [0, 1, 4, 11])
def test_batches_are_known_by_number(start):
    whole = list(islice(batch_positions(13, 3, 5), 20))
    assert list(islice(batch_positions(13, 3, 5, start), 20 - start)) == whole[start:]
    assert whole != list(islice(batch_positions(13, 3, 6), 20))


def test_of_fewer_samples_than_a_batch_all_are_taken():
    assert sorted(next(batch_positions(2, 10, 0))) == [0, 1]


def test_only_kept_samples_are_read_as_the_store_has_them(path):
    from storage.dataset.reader import open_dataset

    dataset = open_dataset(path)
    data = KeptSamples(path, "v1", dataset.kept())
    seen = [i for batch in all_batches(data, 4) for i in batch["index"].tolist()]
    assert seen == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    batch = next(training_batches(data, 4, seed=1, start=1))
    assert batch["image"].dtype == torch.uint8 and batch["mask"].dtype == torch.bool
    for row, index in enumerate(batch["index"].tolist()):
        sample = dataset[index]
        np.testing.assert_array_equal(batch["image"][row].numpy(), sample.image)
        np.testing.assert_array_equal(batch["mask"][row].numpy(), sample.mask)
        assert batch["category"][row] == sample.category


def test_reading_takes_nothing_of_the_trainings_random_numbers(path):
    data = KeptSamples(path, "v1", np.arange(3))
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    next(training_batches(data, 2, seed=0))
    assert torch.equal(torch.rand(3), expected)
