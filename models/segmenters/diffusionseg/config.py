"""How the DiffusionSeg decoder is trained on a backbone's features (arXiv 2303.09813). Imports no torch."""

from typing import Any, Literal

from pydantic import Field

from models.config.backbone import BackboneConfig
from models.config.photos import PriorConfig
from models.config.training import DecoderConfig, Facts, TrainingSet, refuse_other_families
from models.errors import UserError


class DiffusionSegConfig(DecoderConfig, BackboneConfig):
    """The DiffusionSeg decoder on a backbone's features."""

    segmenter: Literal["diffusionseg"] = Field("diffusionseg", description="name of the segmenter")
    prior: PriorConfig = Field(
        default_factory=PriorConfig,
        description="class a photo is assumed to show; training uses the samples' classes, or with clip 'none' none",
    )
    steps: int = Field(40, ge=1, le=500, description="DDIM steps of the inversion and of the reverse pass (paper: 40)")
    blocks: Literal["encoder", "decoder"] = Field(
        "encoder",
        description="half of the UNet that gives the features, two layers per resolution (paper: encoder)",
    )

    def uses_backbone(self) -> str | None:
        return self.backbone

    def takes_class(self) -> bool:
        return self.prior.clip != "none"

    def clip_asked(self, category: str | None) -> str:
        return self.prior.clip if category is None and self.prior.category is None else "none"

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        """UserError unless the samples are a dataset's, with known classes and a size that the backbone can take."""
        assert facts is not None, "uses_backbone names a backbone, so its facts are given"
        refuse_other_families(facts, self.segmenter)
        super().check(facts, training)
        if facts.vae_factor != 8:
            raise UserError(
                f"backbone {self.backbone}: expected latents of 1/8 of the image's size, as the decoder needs, got "
                f"1/{facts.vae_factor}; choose another backbone"
            )
        if training is None:
            return
        if training.image_size is None:
            raise UserError(f"--folder: {self.segmenter} trains on a dataset; give --data, or train another segmenter")
        facts.sizes(*training.image_size)

    def features(self) -> dict[str, Any]:
        """The features also depend on the sample's category, unless the prompt is empty."""
        return {
            "backbone": self.backbone, "steps": self.steps, "blocks": self.blocks, "prompt": self.prior.clip != "none"
        }  # fmt: skip
