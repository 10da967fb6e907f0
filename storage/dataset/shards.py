"""Reading and writing one shard: a task's access to the store, in any process.

Writes cover whole shards, so no two workers ever touch the same chunk. Knows nothing of stages or commits.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import icechunk
import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from models.errors import UserError
from storage.dataset.repository import attributes_of, group_of, reading, writing
from storage.dataset.schema import MENDED, shard_rows

Fork = icechunk.ForkSession  # a picklable view of a build's tip, for one task to write to

# Zarr starts its own threads in addition to the workers.
FEW_THREADS = {"async.concurrency": 4, "threading.max_workers": 2}


def read_shard(session: icechunk.Session, shard: int, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The named arrays of one shard's samples, (n, ...) each; text as StringDType. The last shard may be short."""
    with zarr.config.set(FEW_THREADS), reading(f"shard {shard}"):
        group = group_of(session)
        rows = rows_of(group, shard)
        return {name: np.asarray(array_of(group, name)[rows]) for name in names}


def read_columns(session: icechunk.Session, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The named arrays of all samples, (N, ...) each, for computations over the whole dataset."""
    with zarr.config.set(FEW_THREADS), reading(", ".join(names := list(names))):
        group = group_of(session)
        return {name: np.asarray(array_of(group, name)[:]) for name in names}


def holds(session: icechunk.Session, name: str) -> bool:
    """Whether the dataset has an array, which an older one may lack."""
    return name in group_of(session)


def is_mended(group: zarr.Group, kind: str = "") -> NDArray[np.bool_]:
    """Which samples a person mended, (N,) bool: all of them, or those of one kind, as in `schema.MENDED`."""
    if MENDED not in group:
        return np.zeros(array_of(group, "status").shape[0], dtype=bool)
    values = np.asarray(array_of(group, MENDED)[:])
    return np.asarray((values != "") & np.strings.startswith(values, kind))


def write_changes(fork: icechunk.Session, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of all samples, (N, ...) each, but only the shards in which one differs from the stored values."""
    with zarr.config.set(FEW_THREADS):
        group = group_of(fork)
        size = attributes_of(group)["shard_size"]
        changed = np.zeros(array_of(group, "status").shape[0], dtype=bool)
        for name, values in columns.items():
            stored = np.asarray(array_of(group, name)[:])
            changed |= (values != stored) & ~((values != values) & (stored != stored))  # NaN equals NaN
    for shard in np.unique(np.flatnonzero(changed) // size).tolist():
        span = rows_of(group, shard)
        write_shard(fork, shard, {name: values[span] for name, values in columns.items()})


def write_shard(
    fork: icechunk.Session, shard: int, columns: Mapping[str, ArrayLike], rows: ArrayLike | None = None
) -> None:
    """Write arrays of one shard, (n, ...) each, to a fork or session; nothing is visible until it is committed.

    `rows`: positions within the shard, (m,) int, if only those m samples change; the others stay as stored.
    UserError for a wrong shape, repeated positions, or values that do not fit the array's type.
    """
    with zarr.config.set(FEW_THREADS):
        group = group_of(fork, "r+")
        span = rows_of(group, shard)
        checked = {}
        for name, values in columns.items():
            array = array_of(group, name)
            stored = None if rows is None else np.asarray(array[span])
            checked[name] = _whole_shard(name, array, span.stop - span.start, values, rows, stored)
        with writing(f"shard {shard}"):
            for name, whole in checked.items():
                array_of(group, name)[span] = whole


def rows_of(group: zarr.Group, shard: int) -> slice:
    """The samples of one shard of an open dataset, as a slice."""
    return shard_rows(shard, array_of(group, "status").shape[0], attributes_of(group)["shard_size"])


def array_of(group: zarr.Group, name: str) -> zarr.Array:
    """One array of the group; UserError if it does not exist, naming the arrays that do."""
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise UserError(f"{name}: no such array in this dataset; it has {', '.join(sorted(group.array_keys()))}")
    return array


def _whole_shard(
    name: str, array: zarr.Array, size: int, values: ArrayLike, rows: ArrayLike | None, stored: NDArray[Any] | None
) -> NDArray[Any]:
    """The array to store for a shard of `size` samples: the checked `values`, put into `stored` at `rows` if given."""
    given = np.asarray(values)
    positions = np.arange(size) if rows is None else np.asarray(rows, dtype=np.int64)
    expected = (len(positions), *array.shape[1:])
    if given.shape != expected:
        raise UserError(
            f"{name}: expected shape {expected} for the samples to write, got {given.shape}; write them all"
        )
    if len(set(range(size)).intersection(positions.tolist())) < len(positions):
        raise UserError(f"rows: expected distinct positions below {size}, got {positions.tolist()}")
    cast = given.astype(array.dtype)
    if array.dtype.kind in "biu" and given.dtype != array.dtype and not np.array_equal(cast, given):
        raise UserError(f"{name}: values of type {given.dtype} do not fit {array.dtype}; round or scale them first")
    if stored is None:
        return cast
    stored[positions] = cast
    return stored
