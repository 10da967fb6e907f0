"""Sampling and capture: steps, guidance, image size, which attention is kept (DiffusionSeg, arXiv 2303.09813).

Imports no torch and knows nothing of how images are sampled.
"""

from typing import Literal

from pydantic import Field

from models.config.base import Config

Scheduler = Literal["ddim", "dpm++", "euler"]
Spacing = Literal["leading", "trailing", "linspace"]


def is_papers(scheduler: Scheduler, spacing: Spacing | None) -> bool:
    """Whether these are the paper's DDIM steps, whatever the backbone's own scheduler says."""
    return scheduler == "ddim" and spacing in (None, "leading")


class CaptureConfig(Config):
    """The DDIM steps through the backbone's noise levels, and the attention that is captured during them."""

    steps: int = Field(40, ge=1, le=500, description="steps, one prediction each (paper: 40 of DDIM with eta 0)")
    capture: Literal["evidence", "full"] = Field(
        "evidence", description="'evidence' keeps only the part of A_s that the cut needs; 'full' forms the whole A_s"
    )
    top_k: int = Field(
        5, ge=1, description="k of eq. 2: cross-attention layers averaged into A_c, by standard deviation"
    )


class SamplingConfig(CaptureConfig):
    """How images are sampled from the backbone, and the attention that is captured meanwhile."""

    scheduler: Scheduler = Field(
        "ddim",
        description="how a step is made from the network's output: 'ddim' with eta 0 (paper), or 'dpm++' "
        "(DPM-Solver++ 2M) or 'euler', as in diffusers and with the fields of the backbone's own scheduler",
    )
    spacing: Spacing | None = Field(
        None,
        description="noise levels of the steps: 'leading' begins below the last, 'trailing' (for models of 1 to 8 "
        "steps) and 'linspace' at the last; absent: leading for ddim (paper), else as the backbone's scheduler says",
    )
    guidance: float = Field(
        7.5, ge=0, le=50, description="classifier-free guidance scale; up to 1 is no guidance, one prediction a step"
    )
    height: int | None = Field(None, ge=8, description="image height in pixels; the backbone's native one when absent")
    width: int | None = Field(None, ge=8, description="image width in pixels; the backbone's native one when absent")
    keep_pooled: bool = Field(
        False,
        description="store the exact columns of the symmetrised A_s at the seed cells and each layer's class map, "
        "in float16, so that a recut can change cut.tau, cut.num_seeds and sampling.top_k; a dry run shows the size",
    )

    @property
    def guided(self) -> bool:
        """Whether each step also predicts without a prompt; a scale of at most 1 is no guidance, as in diffusers."""
        return self.guidance > 1
