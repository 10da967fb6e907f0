"""Predicted masks of photographs in a folder: two pictures per photo, and predictions.csv with their boxes."""

from dataclasses import dataclass

import numpy as np

from storage.results.outputs import OutputFolder, Row


@dataclass(frozen=True)
class PredictionRow(Row):
    """x0, y0, x1, y1: box of all pixels of the mask, ends exclusive, all 0 if it is empty; area: fraction of pixels."""

    x0: int = 0
    y0: int = 0
    x1: int = 0
    y1: int = 0
    area: float = 0.0


class PredictionFolder(OutputFolder):
    """Pictures: mask (H, W), 255 where the soft mask is above 0.5, else 0; soft (H, W) in 256 levels."""

    table, kinds, row = "predictions.csv", ("mask", "soft"), PredictionRow

    def write_prediction(self, name: str, soft: np.ndarray) -> None:
        """soft: (H, W) float32 in [0, 1]."""
        self.write_pictures(name, (soft > 0.5).astype(np.uint8) * 255, np.rint(soft * 255).astype(np.uint8))
