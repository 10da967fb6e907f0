"""Screening a whole dataset: the tests that compare its samples with one another, after those of each alone.

A function of all samples' stored scores: whatever their shards, and in how many runs they came about, the verdicts
are the same. Ties go to the earlier sample. Knows no dataset.

Letters: n samples, D embedding's width.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from models.config.screening import ScreenConfig
from models.screening.rules import (
    DUPLICATE_IMAGE,
    DUPLICATE_PROMPT,
    MOST_UNCERTAIN,
    WRONG_CLASS,
    reasons,
)
from models.screening.similarity import image_similarity, prompt_similarity

Table = Mapping[str, np.ndarray]


def verdicts(table: Table, config: ScreenConfig, num_names: int) -> tuple[np.ndarray, np.ndarray]:
    """The first test that each sample fails, "" where it is kept, (n,) str; and `similarity`, (n,) float32.

    table: "category", "clip_score" and what the active rules read, by name, (n,) each, in the order of the dataset;
    "embedding" is (n, D). Duplicates are of any earlier sample of their class that passes
    the tests of each alone, and similarity is the largest cosine to one, NaN where images are not compared.
    """
    verdict = reasons(table, config, num_names).astype(object)
    category = np.array([str(name).lower() for name in table["category"]], dtype=object)
    verdict[topped_up(verdict, category, table["clip_score"], config.clip_top_up)] = ""
    similarity = np.full(len(verdict), np.nan, dtype=np.float32)
    alike, repeated = (np.zeros(len(verdict), dtype=bool) for _ in range(2))
    for rows in by_class(category, verdict == ""):
        if config.duplicate_image is not None:
            similarity[rows] = image_similarity(table["embedding"][rows])
            alike[rows] = similarity[rows] >= np.float32(config.duplicate_image)
        if config.duplicate_prompt is not None:
            prompts = [str(prompt) for prompt in table["prompt"][rows]]
            repeated[rows] = prompt_similarity(prompts) >= np.float32(config.duplicate_prompt)
    similarity[np.isneginf(similarity)] = np.nan  # of a class's first
    verdict[repeated] = DUPLICATE_PROMPT
    verdict[alike] = DUPLICATE_IMAGE
    if config.drop_uncertain:
        verdict[most_uncertain(verdict == "", table["entropy"], config.drop_uncertain)] = MOST_UNCERTAIN
    return verdict, similarity


def topped_up(verdict: np.ndarray, category: np.ndarray, clip_score: np.ndarray, wanted: int) -> np.ndarray:
    """He et al.'s top-up: (n,) bool, those that fail CLIP's test alone and are taken, as too few of their class pass.

    Of each class so many, the most confident first, that `wanted` pass, if there are so many; none without a score.
    """
    taken = np.zeros(len(verdict), dtype=bool)
    failed = (verdict == WRONG_CLASS) & np.isfinite(clip_score)
    for rows in by_class(category, failed) if wanted else ():
        lacking = wanted - np.count_nonzero((category == category[rows[0]]) & (verdict == ""))
        best = rows[np.argsort(-clip_score[rows], kind="stable")]
        taken[best[: max(0, lacking)]] = True
    return taken


def most_uncertain(passing: np.ndarray, score: np.ndarray, share: float) -> np.ndarray:
    """The `share`, rounded down, of the passing samples with the highest score, as DatasetGAN drops them: (n,) bool.

    A score that is NaN is dropped whatever the share, where there is one.
    """
    dropped = np.zeros(len(passing), dtype=bool)
    if not share:
        return dropped
    rows = np.flatnonzero(passing)
    order = rows[np.argsort(score[rows], kind="stable")]  # NaN last
    lacking = int(np.isnan(score[rows]).sum())
    count = max(int(round(share * len(rows), 6)), lacking)
    dropped[order[len(rows) - count :]] = True
    return dropped


def by_class(category: np.ndarray, among: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of the samples of each class that are in `among`, (n,) bool; ascending, classes with none left out."""
    rows = np.flatnonzero(among)
    _, classes = np.unique(category[rows], return_inverse=True)
    order = np.argsort(classes, kind="stable")
    yield from (rows[part] for part in np.split(order, np.cumsum(np.bincount(classes))[:-1]) if len(part))
