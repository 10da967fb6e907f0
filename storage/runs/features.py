"""A run's cache of its samples' features: one file in half precision per sample, so a kill loses none.

Knows nothing of how features are computed.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import digests
from models.errors import UserError
from storage.atomic import replacing

Shape = tuple[int, int, int]


class FeatureCache:
    """Features in a subfolder of `folder` per `key`, the JSON values that determine them.

    shapes: (C, h, w) of each layer.
    """

    def __init__(self, folder: Path, key: dict[str, Any], shapes: list[Shape]):
        text = json.dumps(key, sort_keys=True, indent=2)
        self.folder = folder / digests.of(text.encode())
        self.shapes = shapes
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "key.json").write_text(text)

    @property
    def bytes_per_sample(self) -> int:
        return 2 * sum(int(np.prod(shape)) for shape in self.shapes)

    def missing(self, indices: Iterable[int]) -> list[int]:
        """The samples whose features are not cached yet."""
        return [int(i) for i in indices if not self._file(int(i)).exists()]

    def check_room(self, samples: int) -> None:
        """UserError if the disk has no room for the features of `samples` more samples."""
        needed, free = samples * self.bytes_per_sample, shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"{self.folder}: the features of {samples} samples take {needed / 2**30:.1f} GiB and "
                f"{free / 2**30:.1f} GiB are free; choose another --run, or turn the cache off with --set cache=false"
            )

    def write(self, index: int, features: list[NDArray[Any]]) -> None:
        """Store one sample's features, (C, h, w) each; UserError if they exceed the range of half precision."""
        assert [layer.shape for layer in features] == self.shapes
        with np.errstate(over="ignore"):
            values = np.concatenate([layer.astype(np.float16).ravel() for layer in features])
        if not np.isfinite(values).all():
            raise UserError(
                f"sample {index}: its features exceed the range of half precision; turn the cache off with "
                "--set cache=false"
            )
        with replacing(self._file(index)) as partial, partial.open("wb") as file:
            np.save(file, values)

    def read(self, index: int) -> list[NDArray[np.float16]]:
        """One sample's features, (C, h, w) float16 per layer; UserError if its file is damaged."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        try:
            parts = np.split(np.load(self._file(index)), ends[:-1])
            return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        except (ValueError, EOFError):  # without NumPy's text, which advises to unpickle it
            file = self._file(index)
            raise UserError(
                f"{file}: expected a sample's features, got a damaged file; remove it to compute them again"
            ) from None

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:08d}.npy"
