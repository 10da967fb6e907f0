"""Mended masks written to the next version of a dataset, in one commit. Knows no format."""

from pathlib import Path
from typing import Any

import numpy as np

from models.cut.masks import box
from storage.dataset.repository import attributes_of, group_of
from storage.dataset.schema import BY_HAND, CUT, MENDED, mended_spec
from storage.dataset.shards import Fork, array_of, write_shard
from storage.dataset.writer import create_array
from storage.mending.marks import Mended
from storage.mending.plan import Source, plan_mends


def write_mends(fork: Fork, path: Path, source: Source) -> None:
    """Write what the source changes to the fork: masks, area, box, provenance; the samples are to be screened again.

    Nothing is written if nothing changes. The energy, which is of the mask that was cut, becomes NaN.
    """
    mends = plan_mends(path, source)
    if not mends.samples:
        return
    group = group_of(fork, "r+")
    attributes, count = attributes_of(group), array_of(group, "status").shape[0]
    if MENDED not in group:
        create_array(group, MENDED, mended_spec(), attributes["shard_size"], count)
    digest = source.digest()
    origin = f"{mends.base} {digest}"
    by_shard: dict[int, list[Mended]] = {}
    for sample in mends.samples:
        by_shard.setdefault(sample.index // attributes["shard_size"], []).append(sample)
    for shard, samples in by_shard.items():
        rows = [sample.index % attributes["shard_size"] for sample in samples]
        write_shard(fork, shard, _columns(samples, origin), rows=rows)
    mend: dict[str, Any] = {
        "format": source.format,
        "base": mends.base,
        "digest": digest,
        "file": source.path.name,
    }
    group.attrs["mends"] = [*attributes.get("mends", []), mend | mends.counts()]


def _columns(samples: list[Mended], origin: str) -> dict[str, Any]:
    return {
        "mask": np.stack([sample.mask for sample in samples]),
        "area": [sample.mask.mean() for sample in samples],
        "box": [box(sample.mask) for sample in samples],
        "energy": [np.nan] * len(samples),
        "status": [CUT] * len(samples),
        "reason": [""] * len(samples),
        MENDED: [f"{BY_HAND if sample.rejected else 'mask'} {origin}" for sample in samples],
    }
