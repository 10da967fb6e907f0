"""How good the masks of a setting are, judged without any truth (docs/decisions/tuning.md has what was tried).

A good mask's outline runs where colours change, and the mask explains the attention: A_c is higher inside, and r(p) of
whatever seeds differs between inside and outside. Both are relative, so that pictures count alike. Knows nothing of how
settings are searched. Letters: H, W image pixels; h, w attention grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.cut.graph import OFFSETS, overlap, pair_views
from models.tuning.trials import Setting, Trial, solve

MIN_AREA, MAX_AREA = 0.05, 0.7  # shares of the image between which a mask is plausible


@dataclass(frozen=True)
class Score:
    """The score of a setting over all trials; of two settings on the same trials the larger `value` is better.

    value: mean over the trials of sqrt(step * explained), times 1 - outside; step: mean colour step at the outline, in
    mean steps of the picture (1: no better than anywhere); explained: mean share of the attention maps' variance that
    the masks explain, at most 1; area: mean share of the image; outside: share of the masks outside 5 to 70 %.
    """

    value: float
    step: float
    explained: float
    area: float
    outside: float


def score_of(trials: Sequence[Trial], setting: Setting) -> Score:
    """Solve every trial under the setting, and judge the masks."""
    return judged(trials, [solve(trial, setting).mask for trial in trials])


def judged(trials: Sequence[Trial], masks: Sequence[np.ndarray]) -> Score:
    """The score of the trials' solved masks, (H, W) bool each; at least one."""
    areas = np.array([mask.mean() for mask in masks])
    outside = float(((areas < MIN_AREA) | (areas > MAX_AREA)).mean())
    steps = np.array([colour_step(trial.image, mask) for trial, mask in zip(trials, masks, strict=True)])
    explained = np.array([explained_share(trial, mask) for trial, mask in zip(trials, masks, strict=True)])
    value = float(np.sqrt(steps * explained).mean()) * (1 - outside)
    return Score(value, float(steps.mean()), float(explained.mean()), float(areas.mean()), outside)


def colour_step(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean distance in colour between neighbours on either side of the outline, in the mean of all neighbours.

    image: (H, W, 3) uint8; mask: (H, W) bool. 0 if there is no outline or the image has one colour.
    """
    at_outline, everywhere = [], []
    for offset in OFFSETS:
        p, q = pair_views(image, offset)
        steps = np.sqrt(np.square(np.subtract(p, q, dtype=np.float32)).sum(axis=-1))
        at_outline.append(steps[np.not_equal(*pair_views(mask, offset))])
        everywhere.append(steps.mean(dtype=np.float64))
    outline, mean = np.concatenate(at_outline), float(np.mean(everywhere))
    return float(outline.mean(dtype=np.float64)) / mean if outline.size and mean > 0 else 0.0


def explained_share(trial: Trial, mask: np.ndarray) -> float:
    """Mean share of the maps' variance that lies between inside and outside, of A_c and every stored r(p): 0 to 1.

    A_c counts only where it is higher inside. The maps are those of the trial's first k, so settings compare alike.
    """
    k, class_map = next(iter(trial.class_maps.items()))
    maps = np.stack([class_map, *(refined for (layers, _), refined in trial.refined.items() if layers == k)])
    share = (overlap(trial.grid[0], mask.shape[0]) @ mask.astype(np.float32)) @ overlap(trial.grid[1], mask.shape[1]).T
    inside = (share > 0.5).ravel()
    if inside.all() or not inside.any():
        return 0.0
    values = maps.reshape(len(maps), -1).astype(np.float64)
    step = values[:, inside].mean(axis=1) - values[:, ~inside].mean(axis=1)
    variance = values.var(axis=1)
    between = inside.mean() * (1 - inside.mean()) * step**2
    shares = np.divide(between, variance, out=np.zeros_like(between), where=variance > 0)
    return float((shares * np.r_[step[0] > 0, np.ones(len(shares) - 1)]).mean())
