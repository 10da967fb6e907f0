"""How good the masks of a setting are, judged without any truth (docs/decisions/tuning.md has what was tried).

Knows nothing of how settings are searched. Letters: H, W image pixels; h, w attention grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.cut.graph import OFFSETS, pair_views, shrink
from models.tuning.trials import Setting, Trial, solve

MIN_AREA, MAX_AREA = 0.05, 0.7  # shares of the image between which a mask is plausible


@dataclass(frozen=True)
class Score:
    """The score of a setting over all trials: `value`, larger is better; mean area; share of masks outside 5-70 %."""

    value: float
    area: float
    outside: float


def score_of(trials: Sequence[Trial], setting: Setting) -> Score:
    """Solve every trial under the setting, at the setting's own grid, and judge the masks."""
    masks = [solve(trial, setting).mask for trial in trials]
    return judged(trials, setting, masks)


def judged(trials: Sequence[Trial], setting: Setting, masks: Sequence[np.ndarray]) -> Score:
    """The score of solved masks, (H, W) bool each."""
    areas = np.array([mask.mean() for mask in masks])
    outside = (areas < MIN_AREA) | (areas > MAX_AREA)
    values = [_value(trial, mask) for trial, mask in zip(trials, masks, strict=True)]
    value = float(np.mean(values)) * float(1 - outside.mean())
    return Score(value, float(areas.mean()), float(outside.mean()))


def _value(trial: Trial, mask: np.ndarray) -> float:
    grid = next(iter(trial.class_maps.values())).shape
    cells = shrink(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2), grid)[..., 0] > 0.5
    image = shrink(trial.image, grid)
    steps = []
    for offset in OFFSETS:
        differ = np.not_equal(*pair_views(cells, offset))
        a, b = pair_views(image, offset)
        steps.append(np.linalg.norm(a - b, axis=-1)[differ])
    outline = np.concatenate(steps)
    return float(np.sqrt(outline.mean())) if len(outline) else 0.0
