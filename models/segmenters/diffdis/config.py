"""How DiffDIS is trained (ICLR 2025), and the presets in which paper and released code part. Imports no torch."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from models.config.base import PREDICTING
from models.config.training import Facts, LatentConfig, TrainingSet
from models.errors import UserError


class DiffDisConfig(LatentConfig):
    """DiffDIS (ICLR 2025): a mask and its edge from noise in one step; the fields from `steps` on are its ablations.

    Paper and released code part in a few fields; with preset 'paper' or 'released' those of DIFFDIS_PRESETS go before
    the defaults.
    """

    segmenter: Literal["diffdis"] = Field("diffdis", description="name of the segmenter")
    preset: Literal["mixed", "paper", "released"] = Field(
        "mixed",
        description="where values not given come from; 'mixed' learns as the released code does and predicts as the "
        "paper does, in one pass",
    )
    size: int = Field(1024, ge=64, le=2048, description="side in pixels of the square that images are brought to")
    epochs: int = Field(90, ge=1, description="times each training sample is seen; may be raised for a finished run")
    batch_size: int = Field(
        4, ge=1, le=4096, description="samples of one batch on one device; of an odd one the last is unmixed"
    )
    learning_rate: float = Field(
        3e-5, gt=0, le=10, description="learning rate of Adam; ten times that for the labels' layers"
    )
    lr_schedule: Literal["constant", "cosine", "stepped"] = Field(
        "stepped",
        description="learning rate after the warm-up; 'stepped' multiplies it by 0.95^(e // 30) in each epoch e",
    )
    steps: Literal["1/1", "1*/2", "2/2", "1*/10"] = Field(
        "1/1", description="denoising steps in training / in prediction; * draws their noise level anew (Table 4)"
    )
    edge: bool = Field(True, description="learn the mask's edge beside it (Table 3)")
    dbia: Literal["mutual", "fusion", "none"] = Field(
        "mutual",
        description="attention between mask and edge: each to the other, or 'fusion', each to both (Tables 3, 5)",
    )
    swci: bool = Field(True, description="inject the image at three scales into what the decoder takes over (Table 3)")
    cutmix: bool = Field(True, description="mix the samples of a batch in pairs (Table 3)")
    noise: Literal["pyramid", "normal"] = Field(
        "pyramid",
        description="noise in training: pyramid noise, another for the edge, as released; or normal noise, one for "
        "mask and edge, as in the paper and in every prediction",
    )
    condition: Literal["latents", "images"] = Field(
        "latents",
        description="what is injected at three scales: the image's latents, resized (paper), or the latents of the "
        "resized image (released), three more passes of the VAE",
    )
    augment: Literal["released", "paper", "none"] = Field(
        "released", description="mirror, crop and turn, as the paper has it; 'released' alters the colours too"
    )
    tta: Annotated[bool, PREDICTING] = Field(
        False, description="average six predictions, at three scales and mirrored, as the released code does"
    )

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from super().presets(given)
        yield DIFFDIS_PRESETS.get(str(given.get("preset")), {})

    @model_validator(mode="after")
    def _needs_an_edge(self) -> "DiffDisConfig":
        if self.dbia != "none" and not self.edge:
            raise UserError(
                f"dbia: expected none where edge is false, got {self.dbia!r}, which has no edge to attend to; set dbia "
                "to none, or edge to true"
            )
        return self

    def rates(self) -> dict[str, float]:
        return {"unet.class_embedding": 10.0}

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        super().check(facts, training)
        assert facts is not None, "of the backbone"
        if self.swci and facts.num_halvings < 3:
            raise UserError(
                f"swci: expected a UNet that halves its grid three times or more, got {facts.num_halvings} of backbone "
                f"{self.backbone}; set swci to false, or choose another backbone"
            )
        if self.dbia != "none" and facts.num_middle != 1:
            raise UserError(
                f"dbia: expected a UNet with one transformer block in its middle, got {facts.num_middle} of backbone "
                f"{self.backbone}; set dbia to none, or choose another backbone"
            )
        if training is not None:
            self._check_normalised(facts, training)

    def _check_normalised(self, facts: Facts, training: TrainingSet) -> None:
        """SWCI normalises each channel over a batch's cells, which must be more than one."""
        smallest = self.size // facts.multiple * 2 ** (facts.num_halvings - 3)  # cells on a side of the third scale
        if self.swci and not self.edge and smallest == 1 and min(self.batch_size, training.samples) == 1:
            raise UserError(
                f"swci: expected two samples or more in a batch of {self.size} pixels without edge, got 1; raise "
                "batch_size or size, or set edge to true or swci to false"
            )


DIFFDIS_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"noise": "normal", "augment": "paper"},
    "released": {"condition": "images", "epochs": 100, "tta": True},
}
