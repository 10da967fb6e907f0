"""Sampling and capture: steps, guidance, image size, which attention is kept (DiffusionSeg, arXiv 2303.09813).

Imports no torch and knows nothing of how images are sampled.
"""

from typing import Literal

from pydantic import Field

from models.config.base import Config


class CaptureConfig(Config):
    """The DDIM steps through the backbone's noise levels, and the attention that is captured during them."""

    steps: int = Field(40, ge=1, le=500, description="DDIM steps (paper: 40); eta is 0")
    capture: Literal["evidence", "full"] = Field(
        "evidence", description="'evidence' keeps only the part of A_s that the cut needs; 'full' forms the whole A_s"
    )
    top_k: int = Field(
        5, ge=1, description="k of eq. 2: cross-attention layers averaged into A_c, by standard deviation"
    )


class SamplingConfig(CaptureConfig):
    """How images are sampled from the backbone, and the attention that is captured meanwhile."""

    guidance: float = Field(7.5, ge=1, le=50, description="classifier-free guidance scale; 1 is no guidance")
    height: int | None = Field(None, ge=8, description="image height in pixels; the backbone's native one when absent")
    width: int | None = Field(None, ge=8, description="image width in pixels; the backbone's native one when absent")
    keep_pooled: bool = Field(
        False,
        description="store the exact columns of the symmetrised A_s at the seed cells and each layer's class map, "
        "in float16, so that a recut can change cut.tau, cut.num_seeds and sampling.top_k; a dry run shows the size",
    )
