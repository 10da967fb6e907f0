"""The results of an evaluation: a run's predictions on a benchmark, and their scores, image by image.

One folder per run and benchmark: shards/, parquet tables of SHARD images each, and predictions/, the soft masks as
8-bit pictures of the images' native size. An image is done if its row has no error and the digest of the same bytes
and the same weights. Knows nothing of what a score means.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from models import digests
from models.errors import UserError, encodable
from storage.atomic import partial_of, replacing
from storage.photos.folders import Benchmark
from storage.photos.names import MAX_NAME, shortened

SHARD = 32  # images scored and written together
CURVE = "_curve"


@dataclass(frozen=True)
class Scored:
    """One image: its figures and curves by name, both empty if there is an error; photo: its file.

    void: number of pixels that are not judged, and were left out of the figures.
    """

    name: str
    photo: str
    error: str = ""
    made_from: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    curves: dict[str, np.ndarray] = field(default_factory=dict)
    void: int = 0


@dataclass(frozen=True)
class ScoreFolder:
    """The scores and predictions of one run on one benchmark."""

    path: Path

    def read(self, pairs: Benchmark) -> list[Scored]:
        """The rows of the benchmark's scored images, of any digest, in its order."""
        num_shards = -(-len(pairs) // SHARD)
        rows = {row.name: row for shard in range(num_shards) for row in self.read_shard(shard)}
        return [rows[name] for name in pairs.labels if name in rows]

    def read_shard(self, shard: int) -> list[Scored]:
        """The rows of a shard; empty if it is not written yet."""
        path = self._shard_path(shard)
        if not path.exists():
            return []
        try:
            return _rows(path)
        except (ValueError, KeyError, TypeError) as error:  # Arrow's errors are ValueErrors
            raise UserError(
                f"{path}: is not a table of scores ({error}); remove it to score its images again"
            ) from error

    def write(self, shard: int, rows: list[Scored]) -> None:
        """Write a shard, replacing an earlier one; a kill leaves the old shard or the new one."""
        path = self._shard_path(shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            table(rows, curves=True).to_parquet(partial, index=False)

    def write_prediction(self, name: str, soft: np.ndarray) -> None:
        """soft: (H, W) float32 in [0, 1], stored in 256 levels."""
        path = self.prediction_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            Image.fromarray(np.rint(soft * 255).astype(np.uint8)).save(partial, format="png")

    def _shard_path(self, shard: int) -> Path:
        return self.path / "shards" / f"{shard:05d}.parquet"

    def prediction_path(self, name: str) -> Path:
        """The picture of an image's prediction, in a subfolder if its photo is; a long name is shortened."""
        path = self.path / "predictions" / name
        longest = len(partial_of(Path(".png")).name)
        return path.with_name(f"{shortened(path.name, MAX_NAME - longest)}.png")


def table(rows: list[Scored], curves: bool = False) -> pd.DataFrame:
    """One row per image: name, photo, error, made_from, its figures, and with `curves` each curve as a list.

    If some image has void, the column `void` has each image's.
    """
    lines: list[dict[str, Any]] = []
    has_void = any(row.void for row in rows)
    for row in rows:
        stored = {f"{name}{CURVE}": curve for name, curve in row.curves.items()} if curves else {}
        line = {"name": row.name, "photo": row.photo, "error": row.error, "made_from": row.made_from}
        text = {column: encodable(value) for column, value in line.items()}
        lines.append(text | ({"void": row.void} if has_void else {}) | row.figures | stored)
    return pd.DataFrame(lines)


def _rows(shard: Path) -> list[Scored]:
    rows = []
    for line in pd.read_parquet(shard).to_dict("records"):
        name, photo, error, made_from = (str(line.pop(column)) for column in ("name", "photo", "error", "made_from"))
        void = int(line.pop("void", 0))
        values = {} if error else {str(column): value for column, value in line.items()}
        curves = {column.removesuffix(CURVE): curve for column, curve in values.items() if column.endswith(CURVE)}
        figures = {column: float(value) for column, value in values.items() if not column.endswith(CURVE)}
        rows.append(Scored(name, photo, error, made_from, figures, curves, void))
    return rows


def digest_of(pairs: Benchmark, i: int, made_by: dict[str, Any]) -> str:
    """Digest of an image's score: of the photo's bytes, its ground truth and the weights' facts; '' if unreadable."""
    truth = pairs.truths[i]
    try:
        return digests.of(
            pairs.photos[i].read_bytes(), truth if isinstance(truth, np.ndarray) else truth.read_bytes(), made_by
        )
    except OSError:
        return ""
