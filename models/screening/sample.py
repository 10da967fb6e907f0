"""Scores of one sample's mask, and whether CLIP recognises its class.

Plain numbers in; knows no CLIP model, no rule and no dataset. models/screening/rules.py has the tests that use them.

Letters: n samples, h, w attention grid.
"""

import numpy as np

from models.config.screening import ScreenConfig


def recognised(clip_score: np.ndarray, config: ScreenConfig, num_names: int) -> np.ndarray:
    """He et al.'s CLIP filter: confidence above chance, 1 / num_names, or at least min_clip if given; (n,) bool."""
    if config.min_clip is not None:
        return clip_score >= config.min_clip
    return clip_score > 1 / num_names


def entropy_of(objectness: np.ndarray) -> float:
    """Mean entropy, in bits, of the most uncertain tenth of the cells: objectness (h, w) in (0, 1) -> [0, 1].

    DatasetGAN scores an image by the mean over its top 10 % pixels of an ensemble's disagreement; AttentionCut is not
    an ensemble, so the entropy of its objectness is used instead. It is high for every mask, because every mask has an
    outline: it can rank masks, but its value alone means little.
    """
    entropies = np.sort(_entropy(objectness.astype(np.float64)), axis=None)
    return float(entropies[-max(1, entropies.size // 10) :].mean())


def _entropy(p: np.ndarray) -> np.ndarray:
    """Entropy of a Bernoulli variable with probability p, in bits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.where((p == 0) | (p == 1), 0.0, entropy)
