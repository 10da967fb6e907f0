"""How the DiffusionSeg decoder is trained on a backbone's features (arXiv 2303.09813). Imports no torch."""

from typing import Any, Literal

from pydantic import Field

from models.config.backbone import BackboneConfig
from models.config.photos import PriorConfig
from models.config.training import DecoderConfig


class DiffusionSegConfig(DecoderConfig, BackboneConfig):
    """The DiffusionSeg decoder on a backbone's features."""

    segmenter: Literal["diffusionseg"] = Field("diffusionseg", description="name of the segmenter")
    prior: PriorConfig = Field(
        default_factory=PriorConfig,
        description="class a photo is taken to show; training takes the samples' own, or with clip 'none' none either",
    )
    steps: int = Field(40, ge=1, le=500, description="DDIM steps of the inversion and of the reverse pass (paper: 40)")
    blocks: Literal["encoder", "decoder"] = Field(
        "encoder",
        description="half of the UNet that features are taken from, two layers per resolution (paper: encoder)",
    )

    def features(self) -> dict[str, Any]:
        """What a sample's features follow from, beside its image, its category and the backbone's weights."""
        return {
            "backbone": self.backbone, "steps": self.steps, "blocks": self.blocks, "prompt": self.prior.clip != "none"
        }  # fmt: skip
