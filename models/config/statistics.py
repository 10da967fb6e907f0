"""The configuration of a dataset's statistics. Imports no torch."""

from typing import Literal

from pydantic import Field

from models.config.base import Config


class StatisticsConfig(Config):
    """The parameters that the statistics' definitions leave open."""

    normalisation: Literal["joint", "longest-side", "per-axis"] = Field(
        "joint",
        description="how outlines are normalised: by one minimum and maximum of x and y together (nearest to "
        "DiffusionSeg's published lengths), by the longer side of the bounding box, or by each of its sides",
    )
    pairs: int = Field(
        100_000, ge=1, le=10_000_000, description="number of random pairs of outlines to measure shape diversity on"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the random pairs")
