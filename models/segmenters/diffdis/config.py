"""How DiffDIS (ICLR 2025) is trained, and presets for where paper and released code differ. Imports no torch."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from models.config.base import PREDICTING
from models.config.training import Facts, LatentConfig, TrainingSet
from models.errors import UserError


class DiffDisConfig(LatentConfig):
    """DiffDIS (ICLR 2025): a mask and its edge from noise in one step; the fields after `steps` are its ablations.

    Paper and released code differ in a few fields; with preset 'paper' or 'released' the values of DIFFDIS_PRESETS
    replace the defaults.
    """

    segmenter: Literal["diffdis"] = Field("diffdis", description="name of the segmenter")
    preset: Literal["mixed", "paper", "released"] = Field(
        "mixed",
        description="source of values that are not given; 'mixed' trains as the released code does and predicts as the "
        "paper does, in one pass",
    )
    size: int = Field(1024, ge=64, le=2048, description="side in pixels of the square to which images are resized")
    epochs: int = Field(
        90, ge=1, description="times that each training sample is seen; a finished run can be continued with more"
    )
    batch_size: int = Field(
        4, ge=1, le=4096, description="samples of one batch on one device; the last of an odd number is not mixed"
    )
    learning_rate: float = Field(
        3e-5, gt=0, le=10, description="learning rate of Adam; the labels' layers use ten times that"
    )
    lr_schedule: Literal["constant", "cosine", "stepped"] = Field(
        "stepped",
        description="learning rate after the warmup; 'stepped' multiplies it by 0.95^(e // 30) in epoch e",
    )
    steps: Literal["1/1", "1*/2", "2/2", "1*/10"] = Field(
        "1/1", description="denoising steps in training / in prediction; * draws a random noise level (Table 4)"
    )
    edge: bool = Field(True, description="also learn the mask's edge (Table 3)")
    dbia: Literal["mutual", "fusion", "none"] = Field(
        "mutual",
        description="attention between mask and edge: each to the other, or with 'fusion' each to both (Tables 3, 5)",
    )
    swci: bool = Field(True, description="inject the image at three scales into the skip connections (Table 3)")
    cutmix: bool = Field(True, description="mix the samples of a batch in pairs (Table 3)")
    noise: Literal["pyramid", "normal"] = Field(
        "pyramid",
        description="training noise: 'pyramid', different for mask and edge (released code), or 'normal', the same for "
        "both (paper, and every prediction)",
    )
    condition: Literal["latents", "images"] = Field(
        "latents",
        description="input of the injection at three scales: the image's latents, resized (paper), or the latents of "
        "the resized image (released code), which takes three more passes of the VAE",
    )
    augment: Literal["released", "paper", "none"] = Field(
        "released", description="mirror, crop and rotate (paper); 'released' also changes the colours"
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
                f"dbia: expected 'none' if edge is false, because there is no edge to attend to, got {self.dbia!r}; "
                "set dbia to none, or edge to true"
            )
        return self

    def rates(self) -> dict[str, float]:
        return {"unet.class_embedding": 10.0}

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        super().check(facts, training)
        assert facts is not None, "uses_backbone names a backbone, so its facts are given"
        if self.swci and facts.num_halvings < 3:
            raise UserError(
                f"swci: expected a UNet that halves its grid at least three times, got {facts.num_halvings} in "
                f"backbone {self.backbone}; set swci to false, or choose another backbone"
            )
        if self.dbia != "none" and facts.num_middle != 1:
            raise UserError(
                f"dbia: expected a UNet with one transformer block in its middle, got {facts.num_middle} in backbone "
                f"{self.backbone}; set dbia to none, or choose another backbone"
            )
        if training is not None:
            self._check_normalised(facts, training)

    def _check_normalised(self, facts: Facts, training: TrainingSet) -> None:
        """UserError if SWCI, which normalises each channel over a batch's cells, would have only one cell."""
        smallest = self.size // facts.multiple * 2 ** (facts.num_halvings - 3)  # cells on a side of the third scale
        if self.swci and not self.edge and smallest == 1 and min(self.batch_size, training.samples) == 1:
            raise UserError(
                f"swci: expected at least two samples in a batch if size is {self.size} and edge is false, got 1; "
                "raise batch_size or size, or set edge to true or swci to false"
            )


DIFFDIS_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"noise": "normal", "augment": "paper"},
    "released": {"condition": "images", "epochs": 100, "tta": True},
}
