"""The judgement of a build's first masks: whether so many have an unlikely size that the cut does not fit the backbone.

Plain functions of columns of the table; knows no dataset and no build.

Letters: n samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.config.build import TrialConfig


@dataclass(frozen=True)
class Trial:
    """Figures of the first samples, and the limits that they were judged by; all values are JSON values.

    masks, failed: samples with a mask, and samples that are not finite and have none. too_small, too_large: masks that
    cover less than min_area or more than max_area of the image. median_area: of the masks, in [0, 1]. clamped: share of
    the objectness's cells that were clamped. uncertainty, border: means of the columns of these names.
    """

    masks: int
    failed: int
    too_small: int
    too_large: int
    median_area: float
    clamped: float
    uncertainty: float
    border: float
    min_area: float
    max_area: float
    max_share: float

    @property
    def passes(self) -> bool:
        """Whether at most the allowed share of the samples failed or has a mask that is too small or too large."""
        return self.too_small + self.too_large + self.failed <= self.max_share * (self.masks + self.failed)

    @property
    def cut_fits(self) -> bool:
        """The same of the masks alone: if it holds and the trial does not pass, sampling is at fault, not the cut."""
        return self.too_small + self.too_large <= self.max_share * self.masks

    def __str__(self) -> str:
        without = f", and {self.failed} samples are NaN or infinite" if self.failed else ""
        return (
            f"{self.too_small + self.too_large} of {self.masks} masks cover less than {100 * self.min_area:g} % or "
            f"more than {100 * self.max_area:g} % of the picture{without} (at most {100 * self.max_share:g} % may; "
            f"median area {100 * self.median_area:.0f} %, {100 * self.clamped:.0f} % of the objectness clamped, "
            f"uncertainty {self.uncertainty:.2g}, {100 * self.border:.0f} % of the border covered)"
        )


def judged(columns: Mapping[str, np.ndarray], cells: int, config: TrialConfig) -> Trial | None:
    """The figures of samples that are cut or failed; None if none of them has a mask.

    columns: area, uncertainty and border in [0, 1], num_clamped out of `cells`, (n,) each; area is NaN for a sample
    that failed.
    """
    has_mask = np.isfinite(columns["area"])
    area, num_clamped, uncertainty, border = (
        np.asarray(columns[name], dtype=float)[has_mask] for name in ("area", "num_clamped", "uncertainty", "border")
    )
    if not area.size:
        return None
    return Trial(
        masks=area.size,
        failed=int(np.count_nonzero(~has_mask)),
        too_small=int(np.count_nonzero(area < config.min_area)),
        too_large=int(np.count_nonzero(area > config.max_area)),
        median_area=float(np.median(area)),
        clamped=float(num_clamped.mean() / cells),
        uncertainty=float(uncertainty.mean()),
        border=float(border.mean()),
        min_area=config.min_area,
        max_area=config.max_area,
        max_share=config.max_share,
    )
