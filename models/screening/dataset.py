"""Screening a whole dataset: the tests of single samples, then the tests that compare samples with one another.

A function of all samples' stored scores: the verdicts do not depend on shards or on the number of runs. Ties go to the
earlier sample. Knows no dataset.

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
    """The first test that each sample fails, "" if it is kept, (n,) str; and `similarity`, (n,) float32.

    table: "category", "clip_score" and the columns that the active rules read, (n,) each, in the order of the dataset;
    "embedding" is (n, D). Duplicates are compared with the earlier samples of their class that pass the tests of
    single samples; similarity is the largest cosine to one of those, NaN if images are not compared.
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
    similarity[np.isneginf(similarity)] = np.nan  # the first sample of each class
    verdict[repeated] = DUPLICATE_PROMPT
    verdict[alike] = DUPLICATE_IMAGE
    if config.drop_uncertain:
        verdict[most_uncertain(verdict == "", table["entropy"], config.drop_uncertain)] = MOST_UNCERTAIN
    return verdict, similarity


def topped_up(verdict: np.ndarray, category: np.ndarray, clip_score: np.ndarray, wanted: int) -> np.ndarray:
    """He et al.'s top-up: (n,) bool, the samples that fail only CLIP's test and are kept, as too few of a class pass.

    Each class is filled up to `wanted` samples, the most confident first; samples without a score are not used.
    """
    added = np.zeros(len(verdict), dtype=bool)
    failed = (verdict == WRONG_CLASS) & np.isfinite(clip_score)
    for rows in by_class(category, failed) if wanted else ():
        num_missing = wanted - np.count_nonzero((category == category[rows[0]]) & (verdict == ""))
        best = rows[np.argsort(-clip_score[rows], kind="stable")]
        added[best[: max(0, num_missing)]] = True
    return added


def most_uncertain(passing: np.ndarray, score: np.ndarray, share: float) -> np.ndarray:
    """The `share`, rounded down, of the passing samples with the highest score, as DatasetGAN drops them: (n,) bool.

    If the share is above 0, all samples with score NaN are dropped, even if that is more than the share.
    """
    dropped = np.zeros(len(passing), dtype=bool)
    if not share:
        return dropped
    rows = np.flatnonzero(passing)
    order = rows[np.argsort(score[rows], kind="stable")]  # NaN last
    num_nan = int(np.isnan(score[rows]).sum())
    count = max(int(round(share * len(rows), 6)), num_nan)
    dropped[order[len(rows) - count :]] = True
    return dropped


def by_class(category: np.ndarray, among: np.ndarray) -> Iterator[np.ndarray]:
    """For each class the positions of its samples that are in `among`, (n,) bool; ascending; skips empty classes."""
    rows = np.flatnonzero(among)
    _, classes = np.unique(category[rows], return_inverse=True)
    order = np.argsort(classes, kind="stable")
    yield from (rows[part] for part in np.split(order, np.cumsum(np.bincount(classes))[:-1]) if len(part))
