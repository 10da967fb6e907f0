"""Sample the images of one shard, with the evidence from which their masks are solved."""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.backbone.protocol import BackboneFacts
from models.config.cut import CutConfig
from models.config.run import RunConfig
from models.config.sampling import SamplingConfig
from storage.dataset.schema import FAILED, PLANNED, SAMPLED
from storage.dataset.shards import Fork, holds, read_shard, write_shard
from tasks.base import task


@task(task_run_name="sample-{shard:05d}")
def sample_shard(
    fork: Fork,
    shard: int,
    facts: BackboneFacts,
    sampling: SamplingConfig,
    cut: CutConfig,
    run: RunConfig,
    on_step: Callable[[int, int], None] | None = None,
) -> Fork:
    """Sample the planned images of the shard; returns the store fork. A sample that is not finite is marked failed.

    on_step receives, after each step of a batch, the equivalent number of samples done, and the number of all.
    """
    from models.backbone.load import load_backbone
    from models.backbone.sampling import sample_batched

    table = read_shard(fork, shard, ["status", "category", "phrase", "prompt", "seed"])
    rows = np.flatnonzero(table["status"] == PLANNED)
    categories, phrases, prompts = ([str(t) for t in table[name][rows]] for name in ("category", "phrase", "prompt"))
    words = [phrase or category for phrase, category in zip(phrases, categories, strict=True)]  # '': an older dataset
    seeds = [int(seed) for seed in table["seed"][rows]]
    backbone = load_backbone(facts, run.device, run.dtype)

    def report(done: int, of: int) -> None:
        if on_step:
            on_step(done // sampling.steps, of // sampling.steps)

    samples = sample_batched(backbone, prompts, words, seeds, sampling, cut, run.batch_size, report)
    columns: dict[str, Any] = {
        "image": np.stack([s.image for s in samples]),
        "class_map": np.stack([s.evidence.class_map for s in samples]),
        "refined": np.stack([s.evidence.refined for s in samples]),
        "affinities": np.stack([s.evidence.affinities for s in samples]),
        "status": [SAMPLED if s.finite else FAILED for s in samples],
        "reason": ["" if s.finite else "not finite" for s in samples],
    }
    if holds(fork, "refined_sets"):
        columns["refined_sets"] = np.stack([np.asarray(s.refined_sets) for s in samples])
    if sampling.keep_pooled:
        columns |= {name: np.stack([getattr(s, name) for s in samples]) for name in ("pooled", "layer_maps")}
    write_shard(fork, shard, columns, rows=rows)
    return fork
