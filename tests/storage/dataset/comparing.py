"""What tests of building share: every array of a dataset, and two datasets compared."""

from pathlib import Path

import numpy as np

from storage.dataset.reader import open_dataset


def contents(path: Path, version: str | None = None) -> dict[str, np.ndarray]:
    """Every array of a dataset."""
    return {name: array[:] for name, array in open_dataset(path, version).group.arrays()}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
