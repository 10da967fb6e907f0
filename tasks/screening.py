"""Screening: score the samples of one shard; when all are scored, keep or reject each; judge the first of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect.artifacts import create_markdown_artifact

from models.config.build import BuildConfig, TrialConfig
from storage.dataset.repository import group_of
from storage.dataset.schema import BY_HAND, CUT, KEPT, REJECTED
from storage.dataset.shards import (
    Fork,
    array_of,
    is_mended,
    read_columns,
    read_shard,
    rows_of,
    write_changes,
    write_shard,
)
from tasks.api.tracking import attempt
from tasks.base import task

if TYPE_CHECKING:
    from models.screening.rules import Score
    from models.screening.trial import Trial

REJECTED_BY_HAND = "rejected by hand"  # the reason of samples that a person rejected, whatever the rules say


@task(task_run_name="screen-{shard:05d}")
def screen_shard(fork: Fork, shard: int, config: BuildConfig) -> Fork:
    """Score the cut samples of the shard, and reject those that fail a per-sample rule; returns the store fork."""
    from models.clip.categories import categories
    from models.screening.rules import EMBEDDING, columns_read, reasons, scores

    names = categories(config.backbone, config.screen.clip, config.classes)
    given = [name for name in columns_read(config.screen) if name not in scores() and name != EMBEDDING]
    measured = [name for score in scores().values() for name in score.reads]
    stored = read_shard(fork, shard, dict.fromkeys(["status", "image", "category", *given, *measured]))
    rows = np.flatnonzero(stored["status"] == CUT)
    stored = {name: values[rows] for name, values in stored.items()}
    columns = {name: _score(score, stored, len(rows)) for name, score in scores().items()}
    columns["similarity"] = np.full(len(rows), np.nan)
    if config.screen.clip != "none":
        columns |= _clip_columns(stored["image"], stored["category"], names, config)
    reason = reasons(columns | {name: stored[name] for name in given}, config.screen, len(names))
    by_hand = is_mended(group := group_of(fork), BY_HAND)[rows_of(group, shard)][rows]
    write_shard(fork, shard, columns | _verdict(np.where(by_hand, REJECTED_BY_HAND, reason)), rows=rows)
    return fork


@task(name="rank")
def rank_samples(fork: Fork, config: BuildConfig) -> Fork:
    """Keep or reject each screened sample by comparison with the others; returns the store fork.

    It uses stored scores only, so it can be repeated after a kill, or when there are more samples. Samples that a
    person rejected take no part.
    """
    from models.clip.categories import categories
    from models.screening.dataset import verdicts
    from models.screening.rules import columns_read

    names = categories(config.backbone, config.screen.clip, config.classes)
    wanted = ["status", "reason", "similarity", "category", "clip_score", *columns_read(config.screen)]
    stored = read_columns(fork, dict.fromkeys(wanted))
    rows = np.flatnonzero(np.isin(stored["status"], (KEPT, REJECTED)) & ~is_mended(group_of(fork), BY_HAND))
    table = {name: values[rows] for name, values in stored.items()}
    reason, similarity = verdicts(table, config.screen, len(names))
    columns = _verdict(reason) | {"similarity": similarity}
    for name, values in columns.items():
        stored[name][rows] = values
    write_changes(fork, {name: stored[name] for name in columns})
    return fork


@task(name="trial")
def judge_trial(path: Path, config: TrialConfig) -> "Trial | None":
    """The figures of the first samples of the dataset's build, which are cut; None if none of them has a mask."""
    from models.cut.masks import border_of
    from models.screening.trial import judged
    from storage.dataset.reader import open_dataset

    first = slice(config.samples)
    dataset = open_dataset(path, "build")
    columns = {name: dataset.read(name, first) for name in ("area", "uncertainty", "num_clamped")}
    columns["border"] = np.array([border_of(mask) for mask in dataset.read("mask", first)])
    trial = judged(columns, int(np.prod(array_of(dataset.group, "objectness").shape[1:])), config)
    about = f"trial of {path}: {'no masks' if trial is None else trial}"
    attempt("the trial's figures", lambda: create_markdown_artifact(about, key="trial", description=str(path)))
    return trial


def _score(score: "Score", stored: dict[str, Any], count: int) -> Any:
    """A column of scores, (count,), from the samples' stored arrays; NaN if CLIP computes the score."""
    if score.of is None:
        return np.full(count, np.nan, dtype=score.dtype)
    return np.array([score.of(*(stored[name][i] for name in score.reads)) for i in range(count)], dtype=score.dtype)


def _verdict(reason: Any) -> dict[str, Any]:
    """The table's columns status and reason, (n,) each; a sample without a reason for rejection is kept."""
    return {"status": np.where(reason == "", KEPT, REJECTED).astype("u1"), "reason": reason.astype(str)}


def _clip_columns(images: Any, categories: Any, names: tuple[str, ...], config: BuildConfig) -> dict[str, Any]:
    """CLIP's embedding of each image, and its confidence in the sample's class among `names`.

    Images go to CLIP one at a time, so the last bits, and the verdicts, do not depend on the other samples of a shard.
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
    return {"clip_score": np.array(scores), "embedding": np.concatenate([e.cpu().numpy() for e in embeddings])}
