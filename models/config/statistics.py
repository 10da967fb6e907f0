"""How a dataset's statistics are taken. As models/config/build.py's, one source of YAML schema, options and form."""

from typing import Literal

from pydantic import Field

from models.config.base import Config


class StatisticsConfig(Config):
    """What is not fixed by the statistics' definitions."""

    normalisation: Literal["joint", "longest-side", "per-axis"] = Field(
        "joint",
        description="how outlines are normalised: by one minimum and maximum of x and y together (nearest to "
        "DiffusionSeg's published lengths), by the longer side of the bounding box, or by both its sides",
    )
    pairs: int = Field(
        100_000, ge=1, le=10_000_000, description="pairs of outlines, drawn at random, that shape diversity is taken of"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of that draw")
