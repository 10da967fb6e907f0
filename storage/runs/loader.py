"""The kept samples of a dataset version, or a folder's pairs, as torch reads them: which train, and in which order.

The order follows from (seed, epoch) alone, so a batch is known by its number and a resumed training reads on where the
killed one stopped. Knows no segmenter.
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
from models.images import resized, resized_mask
from models.segmenters.protocol import Batch
from storage.dataset.reader import Dataset, open_dataset
from storage.photos.folders import Benchmark
from storage.sources import Source, usable


class Features(Protocol):
    """What `storage.runs.features.FeatureCache` gives of a sample."""

    def read(self, index: int) -> list[NDArray[np.float16]]: ...


class KeptSamples(torch.utils.data.Dataset):
    """Samples of one dataset version by position in `indices`; opened anew in each worker process.

    Each is a dict: "index", "mask" (H, W) bool, and "image" (H, W, 3) uint8 with "category", or with `features` those
    in their place: "features", for each layer (C, h, w) float16.
    """

    def __init__(self, path: Path, version: str, indices: NDArray[np.intp], features: Features | None = None):
        self.path, self.version, self.indices, self.features = path, version, indices, features

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        index = int(self.indices[position])
        sample = self._dataset[index]
        found: dict[str, Any] = {"index": index, "mask": sample.mask}
        if self.features is not None:
            return found | {"features": self.features.read(index)}
        return found | {"image": sample.image, "category": sample.category}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_dataset"}

    @cached_property
    def _dataset(self) -> Dataset:
        return open_dataset(self.path, self.version)


class FolderSamples(torch.utils.data.Dataset):
    """Pairs of a folder with masks by position in `indices`, each brought to `size`, (H, W).

    Each is a dict: "index", "photo", its path, "mask" (H, W) bool, and "image" (H, W, 3) uint8 with "category", which
    is '', or with `features` those in their place: "features", for each layer (C, h, w) float16.
    """

    def __init__(
        self, pairs: Benchmark, indices: NDArray[np.intp], size: tuple[int, int], features: Features | None = None
    ):
        self.pairs, self.indices, self.size, self.features = pairs, indices, size, features

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        index = int(self.indices[position])
        photo, mask = self.pairs.pair(index)
        mask = resized_mask(mask, self.size)
        found: dict[str, Any] = {"index": index, "photo": str(self.pairs.photos[index]), "mask": mask}
        if self.features is not None:
            return found | {"features": self.features.read(index)}
        image = np.array(resized(photo, self.size))  # torch wants it writable
        return found | {"image": image, "category": ""}


def split(
    indices: NDArray[np.intp], val_fraction: float, limit: int | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices for training, `limit` of them where given, and for validation, about `val_fraction` of all.

    Each index's side follows from its own hash, so a sample stays on its side when the dataset grows. Of a set so small
    that a side would be empty, the one with the most fitting hash goes there. The `limit` training samples are those
    with the lowest hashes: a draw that no order of names or classes shapes, a smaller one within a larger, and the
    validation always the same. UserError for fewer than two indices, and for a limit above the training samples.
    """
    if len(indices) < 2:
        raise UserError(
            f"expected two kept samples or more, one of them to validate on, got {len(indices)}; build more"
        )
    hashes = np.array([np.random.SeedSequence([int(i)]).generate_state(1)[0] / 2**32 for i in indices])
    held_out = hashes < val_fraction
    if not held_out.any():
        held_out[hashes.argmin()] = True
    if held_out.all():
        held_out[hashes.argmax()] = False
    training, order = indices[~held_out], hashes[~held_out].argsort(kind="stable")
    if limit is not None and limit > len(training):
        raise UserError(f"limit: expected at most the {len(training)} training samples that there are, got {limit}")
    return training[np.sort(order[:limit])], indices[held_out]


def samples_of(
    source: Source, indices: NDArray[np.intp], size: tuple[int, int], features: Features | None = None
) -> KeptSamples | FolderSamples:
    """Those of a source's samples, the photographs of a folder brought to `size`, (H, W)."""
    data = source.open()
    if isinstance(data, Dataset):
        return KeptSamples(data.path, data.version, indices, features)
    return FolderSamples(data, indices, size, features)


def sides_of(source: Source, config: TrainConfig) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices that a configuration trains on and validates with. UserError as `split` has it."""
    return split(usable(source.open()), config.val_fraction, config.limit)


def batches_in_epoch(samples: int, batch_size: int, processes: int = 1) -> int:
    """Batches that each process takes of an epoch; a last short one is left out, unless it is the only one."""
    return max(1, samples // (batch_size * processes))


def batch_positions(
    samples: int, batch_size: int, seed: int, start: int = 0, rank: int = 0, processes: int = 1
) -> Iterator[list[int]]:
    """Positions of batch `start`, `start` + 1, ... without end, those of process `rank` where there are several."""
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
    """Batches of tensors from number `start` on, without end; read by `workers` processes beside this one."""
    if len(data) < processes:
        raise UserError(f"expected a training sample for each of {processes} processes, got {len(data)}; use fewer")
    positions = batch_positions(len(data), batch_size, seed, start, rank, processes)
    batches = DataLoader(
        data,
        batch_sampler=_Unending(positions),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,  # the store's runtime does not survive a fork
        generator=torch.Generator(),  # which it would otherwise take from the training's numbers
    )
    try:
        yield from batches
    except UserError as error:  # of a worker torch gives its whole traceback as the message
        raise UserError(str(error).rpartition("models.errors.UserError: ")[2].strip()) from None


def all_batches(data: KeptSamples | FolderSamples, batch_size: int) -> Iterator[Batch]:
    """Every sample once, in order, in batches of tensors."""
    yield from DataLoader(data, batch_size=batch_size)


class _Unending(torch.utils.data.Sampler):
    """Batches of positions as a DataLoader wants them: something it can iterate over."""

    def __init__(self, positions: Iterator[list[int]]):
        self.positions = positions

    def __iter__(self) -> Iterator[list[int]]:
        return self.positions
