"""Trials: samples whose masks are solved under one setting after another, from their stored evidence.

Knows nothing of datasets, of scores or of how settings are searched.

Letters: H, W image pixels; h, w attention grid; L cross-attention layers; N = h * w; K seed cells; T seed sets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.config.cut import SEED_SETS, CutConfig, SeedSet
from models.cut.attentioncut import Cut, Evidence, cut
from models.cut.graph import shrink
from models.cut.seeds import mean_of_top, refined_map


@dataclass(frozen=True)
class Setting:
    """What is tuned: the cut, and k, the number of layers averaged into A_c."""

    cut: CutConfig
    top_k: int

    def on_cells(self, trial: "Trial") -> "Setting":
        """The setting that cuts `trial.on_cells()` as this one cuts the trial on its attention grid."""
        lambda_ = self.cut.lambda_ * float(np.sqrt(np.prod(trial.grid) / np.prod(trial.image.shape[:2])))
        return replace(self, cut=self.cut.model_copy(update={"grid": "attention", "lambda_": lambda_}))


@dataclass(frozen=True)
class Trial:
    """One sample with all of its evidence that is stored.

    image: (H, W, 3) uint8; affinities: (4, h, w) float32, as in `Evidence`; class_maps: k -> A_c (h, w) float32;
    refined: (k, seed set) -> r(p) (h, w) float32. The first k is the one that the sample was built with.
    """

    image: np.ndarray
    affinities: np.ndarray
    class_maps: Mapping[int, np.ndarray]
    refined: Mapping[tuple[int, SeedSet], np.ndarray]

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w)."""
        height, width = self.affinities.shape[1:]
        return height, width

    def can_solve(self, setting: Setting) -> bool:
        """Whether the stored evidence suffices for the setting's k and seeds."""
        return (setting.top_k, setting.cut.seed_set) in self.refined

    def evidence(self, setting: Setting) -> Evidence:
        """The evidence of the cut under a setting that `can_solve` allows."""
        refined = self.refined[setting.top_k, setting.cut.seed_set]
        return Evidence(self.class_maps[setting.top_k], refined, self.affinities)

    def on_cells(self) -> "Trial":
        """The trial with the image's mean in each cell as its image: its cuts take a millisecond."""
        small = np.rint(shrink(self.image, self.grid) * 255).astype(np.uint8)
        return replace(self, image=small)


def solve(trial: Trial, setting: Setting) -> Cut:
    """The trial's cut under a setting, as a build or a recut solves it."""
    return cut(trial.image, trial.evidence(setting), setting.cut)


def of_sets(
    image: np.ndarray,
    evidence: Evidence,
    setting: Setting,
    refined_sets: np.ndarray | None = None,
    seed_sets: Sequence[SeedSet] = SEED_SETS,
) -> Trial:
    """The trial of a sample without its whole attention: k stays, and the seeds are one of the stored sets.

    evidence: the sample's under `setting`; refined_sets: (T, h, w) floating, None if only the evidence is stored.
    """
    k, stored = setting.top_k, {} if refined_sets is None else dict(zip(seed_sets, refined_sets, strict=True))
    refined = {(k, seeds): values.astype(np.float32) for seeds, values in stored.items()}
    refined[k, setting.cut.seed_set] = evidence.refined
    return Trial(image, evidence.affinities, {k: evidence.class_map}, refined)


def of_attention(
    image: np.ndarray,
    layer_maps: np.ndarray,
    columns: np.ndarray,
    affinities: np.ndarray,
    setting: Setting,
    ks: Sequence[int],
) -> Trial:
    """The trial of a sample with its attention at the seed cells: any k, and the seed sets of new datasets.

    layer_maps: (L, h, w), columns: (N, K), both floating; ks: the k to be tried, besides the setting's.
    """
    class_maps = {k: mean_of_top(layer_maps, k) for k in dict.fromkeys((setting.top_k, *ks))}
    sets = dict.fromkeys((setting.cut.seed_set, *SEED_SETS))
    refined = {
        (k, seeds): refined_map(columns, class_map, setting.cut.with_seed_set(seeds))
        for k, class_map in class_maps.items()
        for seeds in sets
    }
    return Trial(image, affinities, class_maps, refined)
