"""Screen the pairs of one shard: keep or reject each, with the reason."""

from typing import Any

import numpy as np

from models.config import BuildConfig
from storage.schema import CUT, KEPT, REJECTED
from storage.shards import read_shard, write_shard
from tasks.base import task


@task(task_run_name="screen-{shard:05d}")
def screen_shard(fork: Any, shard: int, config: BuildConfig) -> Any:
    """Score and screen what is cut in the shard; returns the store fork."""
    from models.clip import candidates
    from models.screening import screen

    stored = read_shard(fork, shard, ["status", "image", "category", "area", "uncertainty"])
    rows = np.flatnonzero(stored["status"] == CUT)
    names = candidates(config.screen.clip, config.classes)
    scores = _clip_scores(stored["image"][rows], [str(c) for c in stored["category"][rows]], names, config)
    verdicts = [
        screen(float(stored["area"][i]), float(stored["uncertainty"][i]), score, config.screen, len(names))
        for i, score in zip(rows, scores, strict=True)
    ]
    columns = {
        "clip_score": [np.nan if score is None else score for score in scores],
        "status": [KEPT if kept else REJECTED for kept, _ in verdicts],
        "reason": [reason for _, reason in verdicts],
    }
    write_shard(fork, shard, columns, rows=rows)
    return fork


def _clip_scores(images: Any, categories: list[str], names: tuple[str, ...], config: BuildConfig) -> list[float | None]:
    """CLIP's confidence of each sample's class among `names`; None where screening uses no CLIP."""
    if config.screen.clip == "none":
        return [None] * len(categories)
    from models.clip import confidences, load_clip

    table = confidences(load_clip(config.screen.clip, config.run.device), images, names)
    lowered = [name.lower() for name in names]
    return [float(table[i, lowered.index(category.lower())]) for i, category in enumerate(categories)]
