"""Training data for torch: the kept samples of a dataset version, or the pairs of a folder, their split and order.

The order depends only on (seed, epoch), so a batch is identified by its number, and a resumed training continues where
the killed one stopped. Knows no segmenter.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from models.config.training import TrainConfig
from models.errors import UserError
from models.images import resized, resized_truth
from models.segmenters.protocol import Batch
from storage.dataset.reader import Dataset, open_dataset
from storage.photos.folders import Benchmark
from storage.sources import Source, usable


class Features(Protocol):
    """The part of `storage.runs.features.FeatureCache` that loaders use."""

    def read(self, index: int) -> list[NDArray[np.float16]]: ...


class KeptSamples(torch.utils.data.Dataset):
    """Samples of one dataset version by position in `indices`; each worker process opens the dataset itself.

    An item is a dict of "index", "mask" (H, W) bool, "image" (H, W, 3) uint8 and "category". If `features` is given,
    "features", (C, h, w) float16 per layer, replaces "image" and "category".
    """

    def __init__(self, path: Path, version: str, indices: NDArray[np.intp], features: Features | None = None):
        self.path, self.version, self.indices, self.features = path, version, indices, features

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        index = int(self.indices[position])
        sample = self._dataset[index]
        item: dict[str, Any] = {"index": index, "mask": sample.mask}
        if self.features is not None:
            return item | {"features": self.features.read(index)}
        return item | {"image": sample.image, "category": sample.category}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_dataset"}

    @cached_property
    def _dataset(self) -> Dataset:
        return open_dataset(self.path, self.version)


class FolderSamples(torch.utils.data.Dataset):
    """Pairs of a folder with masks by position in `indices`, resized to `size`, (H, W).

    An item is a dict of "index", "photo" (its path), "mask" and "void" (H, W) bool, "image" (H, W, 3) uint8 and
    "category", which is ''; void pixels are not judged. If `features` is given, "features", (C, h, w) float16 per
    layer, replaces "image" and "category".
    """

    def __init__(
        self, pairs: Benchmark, indices: NDArray[np.intp], size: tuple[int, int], features: Features | None = None
    ):
        self.pairs, self.indices, self.size, self.features = pairs, indices, size, features

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        index = int(self.indices[position])
        photo, mask, void = self.pairs.judged_pair(index)
        mask, void = resized_truth(mask, void, self.size)
        void = np.zeros(self.size, bool) if void is None else void  # batches are of one shape
        item: dict[str, Any] = {"index": index, "photo": str(self.pairs.photos[index]), "mask": mask, "void": void}
        if self.features is not None:
            return item | {"features": self.features.read(index)}
        image = np.array(resized(photo, self.size))  # torch needs a writable array
        return item | {"image": image, "category": ""}


def split(
    indices: NDArray[np.intp], val_fraction: float, limit: int | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices for training, at most `limit` if given, and for validation, about `val_fraction` of all; both ascending.

    The hash of an index alone decides its side, so a sample stays on its side when the dataset grows. If a side would
    be empty, the index with the nearest hash moves there. The `limit` training samples are those with the lowest
    hashes: independent of the order of names and classes, and a smaller limit gives a subset of a larger one's; the
    validation stays the same. UserError for fewer than two indices, or a limit above the number of training samples.
    """
    if len(indices) < 2:
        raise UserError(
            f"expected at least two kept samples, one of them for validation, got {len(indices)}; build more"
        )
    hashes = np.array([np.random.SeedSequence([int(i)]).generate_state(1)[0] / 2**32 for i in indices])
    held_out = hashes < val_fraction
    if not held_out.any():
        held_out[hashes.argmin()] = True
    if held_out.all():
        held_out[hashes.argmax()] = False
    training, order = indices[~held_out], hashes[~held_out].argsort(kind="stable")
    if limit is not None and limit > len(training):
        raise UserError(f"limit: expected at most {len(training)}, the number of training samples, got {limit}")
    return training[np.sort(order[:limit])], indices[held_out]


def samples_of(
    source: Source, indices: NDArray[np.intp], size: tuple[int, int], features: Features | None = None
) -> KeptSamples | FolderSamples:
    """The samples of a source at `indices`; the photographs of a folder are resized to `size`, (H, W)."""
    data = source.open()
    if isinstance(data, Dataset):
        return KeptSamples(data.path, data.version, indices, features)
    return FolderSamples(data, indices, size, features)


def sides_of(source: Source, config: TrainConfig) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices for training and for validation under a configuration. UserError as in `split`."""
    return split(usable(source.open()), config.val_fraction, config.limit)


def batches_in_epoch(samples: int, batch_size: int, processes: int = 1) -> int:
    """Batches per epoch and process; a short last batch is left out, unless it is the only one."""
    return max(1, samples // (batch_size * processes))


def batch_positions(
    samples: int, batch_size: int, seed: int, start: int = 0, rank: int = 0, processes: int = 1
) -> Iterator[list[int]]:
    """Positions of batches `start`, `start` + 1, ... without end; the share of process `rank` if there are several."""
    in_epoch, together = batches_in_epoch(samples, batch_size, processes), batch_size * processes
    for epoch in count(start // in_epoch):
        order = np.random.default_rng([seed, epoch]).permutation(samples)
        first = start % in_epoch if epoch == start // in_epoch else 0
        for batch in range(first, in_epoch):
            yield order[batch * together : (batch + 1) * together][rank::processes].tolist()


def training_batches(
    data: KeptSamples | FolderSamples,
    batch_size: int,
    seed: int,
    start: int = 0,
    *,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """Batches of tensors from number `start`, without end, read by `workers` worker processes (0: this process)."""
    if len(data) < processes:
        raise UserError(f"expected a training sample for each of {processes} processes, got {len(data)}; use fewer")
    positions = batch_positions(len(data), batch_size, seed, start, rank, processes)
    batches = DataLoader(
        data,
        batch_sampler=_Unending(positions),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,  # the store's runtime does not survive a fork
        generator=torch.Generator(),  # else it would consume random numbers of the training
    )
    try:
        yield from batches
    except UserError as error:  # torch puts a worker's whole traceback into the message
        raise UserError(str(error).rpartition("models.errors.UserError: ")[2].strip()) from None


def all_batches(data: KeptSamples | FolderSamples, batch_size: int) -> Iterator[Batch]:
    """Every sample once, in order, in batches of tensors."""
    yield from DataLoader(data, batch_size=batch_size)


class _Unending(torch.utils.data.Sampler):
    """Batches of positions, in the form that a DataLoader needs."""

    def __init__(self, positions: Iterator[list[int]]):
        self.positions = positions

    def __iter__(self) -> Iterator[list[int]]:
        return self.positions
