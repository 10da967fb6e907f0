"""Solve the masks of one shard from the evidence stored with it."""

from typing import Any

import numpy as np

from models.config import BuildConfig
from storage.schema import CUT, SAMPLED
from storage.shards import read_shard, write_shard
from tasks.base import task


@task(task_run_name="cut-{shard:05d}")
def cut_shard(fork: Any, shard: int, config: BuildConfig) -> Any:
    """AttentionCut of what is sampled in the shard; returns the store fork."""
    from models.attentioncut import Evidence, cut
    from models.screening import box

    stored = read_shard(fork, shard, ["status", "image", "class_map", "refined", "affinities"])
    rows = np.flatnonzero(stored["status"] == SAMPLED)
    cuts = [
        cut(stored["image"][i], Evidence(*(stored[k][i] for k in ("class_map", "refined", "affinities"))), config.cut)
        for i in rows
    ]
    columns = {
        "mask": np.stack([c.mask for c in cuts]),
        "objectness": np.stack([c.objectness for c in cuts]),
        "uncertainty": [c.uncertainty for c in cuts],
        "energy": [c.energy for c in cuts],
        "num_clamped": [c.num_clamped for c in cuts],
        "area": [c.mask.mean() for c in cuts],
        "box": [box(c.mask) for c in cuts],
        "status": [CUT] * len(cuts),
    }
    write_shard(fork, shard, columns, rows=rows)
    return fork
