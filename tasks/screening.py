"""Screen: score the pairs of one shard, and once all are scored, keep or reject each, with the reason."""

from typing import Any

import numpy as np

from models.config.build import BuildConfig
from storage.dataset.schema import CUT, KEPT, REJECTED
from storage.dataset.shards import read_columns, read_shard, write_changes, write_shard
from tasks.base import task


@task(task_run_name="screen-{shard:05d}")
def screen_shard(fork: Any, shard: int, config: BuildConfig) -> Any:
    """Score what is cut in the shard, and reject what fails a test of its own; returns the store fork."""
    from models.clip.categories import categories
    from models.cut.masks import border_of, num_components_of
    from models.screening.sample import entropy_of, reasons

    names = categories(config.backbone, config.screen.clip, config.classes)
    wanted = ["status", "image", "category", "mask", "objectness", "area", "uncertainty"]
    stored = read_shard(fork, shard, wanted)
    rows = np.flatnonzero(stored["status"] == CUT)
    masks = stored["mask"][rows]
    columns: dict[str, Any] = {
        "border": np.array([border_of(mask) for mask in masks], dtype=np.float32),
        "num_components": np.array([num_components_of(mask) for mask in masks]),
        "entropy": np.array([entropy_of(objectness) for objectness in stored["objectness"][rows]], dtype=np.float32),
        "similarity": np.full(len(rows), np.nan),
        "clip_score": np.full(len(rows), np.nan, dtype=np.float32),
    }
    if config.screen.clip != "none":
        columns |= _clip_columns(stored["image"][rows], stored["category"][rows], names, config)
    scores = columns | {name: stored[name][rows] for name in ("area", "uncertainty")}
    reason = reasons(scores, config.screen, len(names))
    write_shard(fork, shard, columns | _verdict(reason), rows=rows)
    return fork


@task(name="rank")
def rank_samples(fork: Any, config: BuildConfig) -> Any:
    """Keep or reject each of the dataset's screened samples, compared with one another; returns the store fork.

    From the stored scores alone, so that it may be done again: after a kill, and when there are more samples.
    """
    from models.clip.categories import categories
    from models.screening.dataset import verdicts
    from models.screening.sample import SCORES

    names = categories(config.backbone, config.screen.clip, config.classes)
    embedding = () if config.screen.duplicate_image is None else ("embedding",)
    stored = read_columns(fork, ["status", "reason", "similarity", "category", "prompt", *SCORES, *embedding])
    rows = np.flatnonzero(np.isin(stored["status"], (KEPT, REJECTED)))
    table = {name: values[rows] for name, values in stored.items()}
    reason, similarity = verdicts(table, config.screen, len(names))
    columns = _verdict(reason) | {"similarity": similarity}
    for name, values in columns.items():
        stored[name][rows] = values
    write_changes(fork, {name: stored[name] for name in columns})
    return fork


def _verdict(reason: Any) -> dict[str, Any]:
    """Status and reason, (n,) each, as the table has them: kept where there is no reason not to."""
    return {"status": np.where(reason == "", KEPT, REJECTED).astype("u1"), "reason": reason.astype(str)}


def _clip_columns(images: Any, categories: Any, names: tuple[str, ...], config: BuildConfig) -> dict[str, Any]:
    """CLIP's embedding of each image, and its confidence in the sample's class among `names`.

    Images go to CLIP one at a time: what else a shard has left to screen changes no last bit, and so no verdict.
    """
    from models.clip.model import load_clip
    from models.clip.zero_shot import caption_texts, zero_shot

    clip = load_clip(config.screen.clip, config.run.device)
    embeddings = [clip.encode_images(image[None]) for image in images]
    lowered = [name.lower() for name in names]
    scores = [
        zero_shot(clip, embedding, caption_texts(clip, names))[0, lowered.index(str(category).lower())]
        for embedding, category in zip(embeddings, categories, strict=True)
    ]
    return {"clip_score": np.array(scores), "embedding": np.concatenate([each.cpu().numpy() for each in embeddings])}
