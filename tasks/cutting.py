"""The masks of a dataset: their best setting, solved from the stored evidence, or replaced by those a person mended."""

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.config.cut import CutConfig
from models.tuning.search import Found
from storage.dataset.schema import CUT, SAMPLED
from storage.dataset.shards import Fork, read_shard, write_shard
from storage.mending.plan import Source
from storage.mending.writing import write_mends
from tasks.base import task

EVIDENCE = ("class_map", "refined", "affinities")
SETS = "refined_sets"
KEPT = ("layer_maps", "pooled")  # stored if sampling.keep_pooled is set; class_map and refined are computed from them


@task(task_run_name="cut-{shard:05d}")
def cut_shard(fork: Fork, shard: int, config: CutConfig, top_k: int | None = None, seed_set: int | None = None) -> Fork:
    """Apply AttentionCut to the sampled images of the shard; returns the store fork.

    If `top_k` is given, A_c and r(p) are computed again from the kept attention, with it and the config's tau and
    num_seeds. If `seed_set` is given, r(p) becomes the one stored at that position of `refined_sets`.
    """
    from models.cut.attentioncut import Evidence, cut
    from models.cut.masks import box
    from models.cut.seeds import class_and_refined

    more = (*(() if top_k is None else KEPT), *(() if seed_set is None else (SETS,)))
    stored = read_shard(fork, shard, ["status", "image", *EVIDENCE, *more])
    rows = np.flatnonzero(stored["status"] == SAMPLED)
    if not rows.size:  # all of the shard's samples failed
        return fork
    for i in rows if top_k is not None else ():
        layer_maps, pooled = (stored[name][i] for name in KEPT)
        assert top_k is not None
        stored["class_map"][i], stored["refined"][i] = class_and_refined(layer_maps, pooled, top_k, config)
    if seed_set is not None:
        stored["refined"][rows] = stored[SETS][rows, seed_set]
    cuts = [cut(stored["image"][i], Evidence(*(stored[name][i] for name in EVIDENCE)), config) for i in rows]
    columns: dict[str, Any] = {
        "mask": np.stack([c.mask for c in cuts]),
        "objectness": np.stack([c.objectness for c in cuts]),
        "uncertainty": [c.uncertainty for c in cuts],
        "energy": [c.energy for c in cuts],
        "num_clamped": [c.num_clamped for c in cuts],
        "bilateral_refused": [c.bilateral_refused for c in cuts],
        "area": [c.mask.mean() for c in cuts],
        "box": [box(c.mask) for c in cuts],
        "status": [CUT] * len(cuts),
    }
    if more:
        columns |= {name: stored[name][rows] for name in ("class_map", "refined")}
    write_shard(fork, shard, columns, rows=rows)
    return fork


@task(name="search")
def search_setting(out: Path, version: str, samples: int) -> Found:
    """The best setting for at most `samples` of the version's samples, with progress bars.

    UserError if no setting scores well.
    """
    from models.tuning.search import search
    from storage.dataset.reader import open_dataset
    from storage.dataset.trials import setting_of, trial_of, trial_rows

    dataset = open_dataset(out, version)
    rows = tqdm(trial_rows(dataset, samples), desc="reading", unit="img")
    trials = [trial_of(dataset, int(row)) for row in rows]
    with tqdm(desc="tuning", unit="setting") as bar:

        def on_step(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        return search(trials, setting_of(dataset), on_step)


@task(name="mend")
def mend_masks(fork: Fork, path: Path, source: Source) -> Fork:
    """Write the masks that the source changes, none if a killed run has committed them already; returns the fork."""
    write_mends(fork, path, source)
    return fork
