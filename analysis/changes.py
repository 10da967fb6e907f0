"""The changes between two versions of a dataset, for the report's page.

Counts, transitions, configuration, scores, and pictures of the masks that changed most.

Knows nothing of the page's layout, nor of why a version differs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype

from analysis import figures
from analysis.gallery import SIDE, WEBP, label
from analysis.statistics import finite, summarise
from storage.dataset.reader import config_diff, diff, open_dataset

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset

DRAWN = 24  # masks that changed most
COUNTS = ("planned", "kept", "rejected", "failed", "unfinished")
ABSENT = "not there"  # the status of a sample that one of the versions does not have


@dataclass(frozen=True, eq=False)
class Changes:
    """From version `before` to `after`; rows are `storage.dataset.diff`'s."""

    before: "Dataset"
    after: "Dataset"
    rows: pd.DataFrame

    @property
    def counts(self) -> list[tuple[str, int, int]]:
        """Name, before, after."""
        sides = [summarise(side.frame()) for side in (self.before, self.after)]
        for side in sides:
            side["rejected"] = sum(side["rejected"].values())
        return [(name, sides[0][name], sides[1][name]) for name in COUNTS if sides[0][name] or sides[1][name]]

    @property
    def transitions(self) -> pd.DataFrame:
        """Number of samples by status before (rows) and after (columns)."""
        sides = {name: side.frame()["status"] for name, side in (("before", self.before), ("after", self.after))}
        both = pd.DataFrame(sides).fillna(ABSENT)
        return pd.crosstab(both["before"], both["after"])

    @property
    def config(self) -> list[tuple[str, str, str]]:
        """Dotted name, value before and value after of the fields that differ; – if a version has no such field."""
        fields = config_diff(self.before, self.after, absent="–")
        return [(name, str(before), str(after)) for name, (before, after) in fields.items()]

    @property
    def scores(self) -> list[tuple[str, float, float, int, float]]:
        """Score, medians of the kept samples before and after, number of changed samples in both, their mean change."""
        one, other = self.before.frame(), self.after.frame()
        rows = []
        for name in [name for name in other if name in one and is_float_dtype(other[name])]:
            medians = [_median(finite(side[side["status"] == "kept"][name])) for side in (one, other)]
            change = finite(other[name] - one[name])  # aligned by index: samples in both
            changed = change[change != 0]
            if np.isfinite(medians).any():
                mean = float(changed.mean()) if changed.size else 0.0
                rows.append((label(str(name)), medians[0], medians[1], changed.size, mean))
        return rows

    @property
    def ious(self) -> pd.Series:
        """IoU of the two masks of each sample whose mask changed, lowest first."""
        ious = self.rows["mask_iou"]
        return ious[ious < 1].sort_values(kind="stable")

    def columns(self) -> pd.DataFrame:
        """Gallery columns by sample of `after`: IoU of its mask with the one before, and the changed fields."""
        name = f"since {self.before.version}"
        sampled = self.after.frame()["status"] != "planned"
        rows = self.rows.reindex(sampled.index)
        changed = rows["fields"].fillna("").where(rows["change"] != "added", "added").replace("", "nothing")
        there = sampled & (rows["change"] != "added")
        ious = rows["mask_iou"].fillna(1.0).where(there)
        return pd.DataFrame({f"mask IoU with {self.before.version}": ious, f"changed {name}": changed})


def changes(after: "Dataset", before: str) -> Changes:
    """Compare a version with another, by its name."""
    return Changes(open_dataset(after.path, before), after, diff(after.path, before, after.version))


def draw_changed(versions: Changes, folder: Path) -> list[dict[str, Any]]:
    """Draw the masks that changed most into `folder` (image, overlay before, overlay after); returns their cards."""
    folder.mkdir()
    cards = []
    for index, iou in versions.ious.head(DRAWN).items():
        one, other = versions.before[int(str(index))], versions.after[int(str(index))]
        before, after = (figures.tiles(side.image, side.mask, SIDE // 2) for side in (one, other))
        picture = np.concatenate([after[0], before[2], after[2]], axis=1)  # (H', 3 W', 3)
        file = f"{other.index:06d}.webp"
        (folder / file).write_bytes(figures.encode(picture, **WEBP))
        cards.append(
            {
                "index": other.index,
                "file": f"{folder.name}/{file}",
                "height": picture.shape[0],
                "width": picture.shape[1],
                "iou": float(iou),
                "category": other.category,
                "status": (one.status, other.status),
            }
        )
    return cards


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else float("nan")
