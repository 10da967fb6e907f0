"""Screening: whether a sample is kept, and why not. Plain numbers in; knows no CLIP model and no dataset."""

import numpy as np

from models.attentioncut import components
from models.config import ScreenConfig


def screen(
    area: float, uncertainty: float, clip_score: float | None, config: ScreenConfig, num_classes: int
) -> tuple[bool, str]:
    """Kept or not, and the first failing test: "empty", "too small", "too large", "uncertain", "wrong class", or "".

    area: share of the image; uncertainty in [0, 1]; clip_score: the class's confidence among num_classes, None when not
    scored. A score that is NaN fails its test.
    """
    tests = (
        ("empty", area > 0),
        ("too small", area >= config.min_area),
        ("too large", area <= config.max_area),
        ("uncertain", uncertainty <= config.max_uncertainty),
        ("wrong class", clip_score is None or recognised(clip_score, config.min_clip, num_classes)),
    )
    reason = next((name for name, passed in tests if not passed), "")
    return not reason, reason


def recognised(clip_score: float, min_clip: float | None, num_classes: int) -> bool:
    """He et al.'s CLIP filter: confidence above chance, 1 / num_classes, or at least min_clip where given.

    With one class the confidence is always 1, as is chance, and the filter says nothing.
    """
    if min_clip is not None:
        return clip_score >= min_clip
    return clip_score > 1 / num_classes or (num_classes == 1 and clip_score == 1)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Tight (x0, y0, x1, y1) of the largest component of (H, W) bool, x1 and y1 exclusive; zeros where it is empty.

    Pixels that touch by a corner belong together; of two components of one size the first in reading order is taken.
    """
    parts, areas = components(mask, np.ones((3, 3)))
    if not len(areas):
        return 0, 0, 0, 0
    y, x = np.nonzero(parts == 1 + areas.argmax())
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1
