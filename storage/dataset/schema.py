"""The schema of a dataset: its arrays, their chunks, the status codes, and the division of samples into shards.

Knows nothing of how data are stored, written or versioned.

Letters: N samples, H, W image pixels, h, w attention grid, K seed cells, L cross-attention layers, T seed sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.config.cut import SEED_SETS
from models.errors import UserError
from models.screening.rules import scores

SCHEMA_VERSION = 1
STATUS = ("planned", "sampled", "cut", "kept", "rejected", "failed")  # the stored code is the position
PLANNED, SAMPLED, CUT, KEPT, REJECTED, FAILED = range(len(STATUS))
# The array that a dataset gains when masks of it are first mended: '' for a sample that nobody touched, else "mask" or
# "rejected", the version that the person saw, and the digest of the file, as in 'mask v1 0123456789abcdef'.
MENDED, BY_HAND = "mended", "rejected"
CHUNK_BYTES = 2**20
TEXT_BYTES = 128  # estimated size of a string, for choosing chunks


@dataclass(frozen=True)
class ArraySpec:
    """One array of the dataset: shape per sample, dtype ("str" for text) and fill value."""

    shape: tuple[int, ...]
    dtype: str
    fill: Any = 0

    @property
    def is_text(self) -> bool:
        return self.dtype == "str"

    @property
    def bytes_per_sample(self) -> int:
        return int(np.prod(self.shape)) * (TEXT_BYTES if self.is_text else np.dtype(self.dtype).itemsize)


# Columns before and after those of the screening scores, which `table` takes from the screening rules.
FIRST = {
    "status": ArraySpec((), "u1", PLANNED),
    "category": ArraySpec((), "str", ""),
    "phrase": ArraySpec((), "str", ""),  # the prompt's words whose attention is read; '' (older datasets): the category
    "prompt": ArraySpec((), "str", ""),
    "prompt_source": ArraySpec((), "str", ""),  # "MODEL/prompt vN", or "grammar", which is '' in older datasets
    "seed": ArraySpec((), "i8"),
    "reason": ArraySpec((), "str", ""),
    "clip_score": ArraySpec((), "f4", float("nan")),
    "uncertainty": ArraySpec((), "f4", float("nan")),
    "energy": ArraySpec((), "f4", float("nan")),
    "area": ArraySpec((), "f4", float("nan")),
}
LAST = {
    "similarity": ArraySpec((), "f4", float("nan")),
    "box": ArraySpec((4,), "i4"),  # x0, y0, x1, y1 of all pixels; in older datasets, of the largest component
    "num_clamped": ArraySpec((), "i4"),
    "bilateral_refused": ArraySpec((), "bool", False),
}


def table() -> dict[str, ArraySpec]:
    """Every column of the table by name, in its order."""
    fills = {name: float("nan") if np.dtype(score.dtype).kind == "f" else 0 for name, score in scores().items()}
    return FIRST | {name: ArraySpec((), score.dtype, fills[name]) for name, score in scores().items()} | LAST


def mended_spec() -> ArraySpec:
    """The array MENDED, which only datasets with mended masks have."""
    return ArraySpec((), "str", "")


def array_specs(
    image_size: tuple[int, int], grid: tuple[int, int], pooled: tuple[int, int] | None = None
) -> dict[str, ArraySpec]:
    """Every array of a new dataset by name; `pooled` is (K, L) if A_s's columns and the layers' maps are kept.

    Without them r(p) of SEED_SETS is stored, of which a recut may choose.
    """
    specs = {
        "image": ArraySpec((*image_size, 3), "u1"),
        "mask": ArraySpec(tuple(image_size), "bool", False),
        "objectness": ArraySpec(tuple(grid), "f4"),
        "class_map": ArraySpec(tuple(grid), "f4"),
        "refined": ArraySpec(tuple(grid), "f4"),
        "affinities": ArraySpec((4, *grid), "f4"),
    }
    if pooled is None:
        specs["refined_sets"] = ArraySpec((len(SEED_SETS), *grid), "f2")
    else:
        specs["pooled"] = ArraySpec((grid[0] * grid[1], pooled[0]), "f2")
        specs["layer_maps"] = ArraySpec((pooled[1], *grid), "f2")
    return specs | table()


def embedding_spec(width: int) -> ArraySpec:
    """The image embeddings that screening stores beside the table; `width` is that of CLIP."""
    return ArraySpec((width,), "f2")


def chunk_rows(name: str, spec: ArraySpec, shard_size: int) -> int:
    """Samples per chunk: one for images, else the largest divisor of the shard size whose chunk is at most 1 MiB."""
    if name == "image":
        return 1
    fitting = [n for n in range(1, shard_size + 1) if shard_size % n == 0 and n * spec.bytes_per_sample <= CHUNK_BYTES]
    return max(fitting, default=1)


def num_shards(count: int, shard_size: int) -> int:
    """Number of shards of `count` samples; the last may be short."""
    return -(-count // shard_size)


def shard_rows(shard: int, count: int, shard_size: int) -> slice:
    """The samples of one shard, as a slice; UserError if there is no such shard."""
    if not 0 <= shard < num_shards(count, shard_size):
        raise UserError(f"shard {shard}: expected 0 to {num_shards(count, shard_size) - 1} ({count} samples)")
    return slice(shard * shard_size, min((shard + 1) * shard_size, count))


def check_version(path: object, attributes: Mapping[str, Any]) -> None:
    """UserError if this code cannot read a dataset's layout."""
    version = attributes.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, found {version}, written by maskmill "
            f"{attributes.get('maskmill_version', 'unknown')}; use that version of maskmill or a newer one"
        )
