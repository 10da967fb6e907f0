"""Trials: samples whose masks are solved under one setting after another, from their stored evidence.

Knows nothing of datasets, of scores or of how settings are searched.

Letters: H, W image pixels; h, w attention grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.config.cut import CutConfig, SeedSet
from models.cut.attentioncut import Cut, Evidence, cut


@dataclass(frozen=True)
class Setting:
    """What is tuned: the cut, and k, the number of layers averaged into A_c."""

    cut: CutConfig
    top_k: int


@dataclass(frozen=True)
class Trial:
    """One sample with all of its evidence that is stored.

    image: (H, W, 3) uint8; affinities: (4, h, w) float32, as in `Evidence`; class_maps: k -> A_c (h, w) float32;
    refined: (k, seed set) -> r(p) (h, w) float32.
    """

    image: np.ndarray
    affinities: np.ndarray
    class_maps: Mapping[int, np.ndarray]
    refined: Mapping[tuple[int, SeedSet], np.ndarray]

    def evidence(self, setting: Setting) -> Evidence:
        """The evidence of the cut under a setting, which must be one of `can_solve`."""
        refined = self.refined[setting.top_k, setting.cut.seed_set]
        return Evidence(self.class_maps[setting.top_k], refined, self.affinities)

    def can_solve(self, setting: Setting) -> bool:
        """Whether the stored evidence suffices for the setting's k and seeds."""
        return (setting.top_k, setting.cut.seed_set) in self.refined


def solve(trial: Trial, setting: Setting) -> Cut:
    """The trial's cut under a setting, as a build or a recut solves it."""
    return cut(trial.image, trial.evidence(setting), setting.cut)
