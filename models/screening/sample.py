"""Screening one sample at a time: scores of its mask, and the first test that it fails.

Plain numbers in; knows no CLIP model and no dataset. models/screening/dataset.py compares samples with one another.

Letters: n samples, H, W image pixels, h, w attention grid.
"""

from collections.abc import Mapping

import numpy as np

from models.config.screening import ScreenConfig

WRONG_CLASS = "wrong class"
SCORES = ("area", "border", "num_components", "uncertainty", "entropy", "clip_score")  # what the tests look at


def reasons(scores: Mapping[str, np.ndarray], config: ScreenConfig, num_names: int) -> np.ndarray:
    """The first test that each sample fails, "" where it passes them all: (n,) str.

    scores: SCORES by name, (n,) each; area in [0, 1] of the image, clip_score the class's confidence among num_names.
    A score that is NaN fails its test.
    """
    everything = np.ones(len(scores["area"]), dtype=bool)
    tests = {
        "empty": scores["area"] > 0,
        "too small": scores["area"] >= config.min_area,
        "too large": scores["area"] <= config.max_area,
        "at the border": everything if config.max_border is None else scores["border"] <= config.max_border,
        "in pieces": everything if config.max_components is None else _within(scores, config.max_components),
        "uncertain": scores["uncertainty"] <= config.max_uncertainty,
        WRONG_CLASS: everything if config.clip == "none" else recognised(scores["clip_score"], config, num_names),
    }
    return np.select([~passed for passed in tests.values()], list(tests), default="")


def _within(scores: Mapping[str, np.ndarray], max_components: int) -> np.ndarray:
    return (scores["num_components"] > 0) & (scores["num_components"] <= max_components)


def recognised(clip_score: np.ndarray, config: ScreenConfig, num_names: int) -> np.ndarray:
    """He et al.'s CLIP filter: confidence above chance, 1 / num_names, or at least min_clip where given; (n,) bool."""
    if config.min_clip is not None:
        return clip_score >= config.min_clip
    return clip_score > 1 / num_names


def entropy_of(objectness: np.ndarray) -> float:
    """Mean entropy, in bits, of the most uncertain tenth of the cells: objectness (h, w) in (0, 1) -> [0, 1].

    DatasetGAN scores an image by the mean over its top 10 % pixels of an ensemble's disagreement; AttentionCut is no
    ensemble, and the entropy of its objectness stands in. It is high for every mask, as each has an outline: it ranks
    masks, and is no measure of one alone.
    """
    entropies = np.sort(_entropy(objectness.astype(np.float64)), axis=None)
    return float(entropies[-max(1, entropies.size // 10) :].mean())


def _entropy(p: np.ndarray) -> np.ndarray:
    """Of a coin that shows heads with probability p, in bits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.where((p == 0) | (p == 1), 0.0, entropy)
