"""How SOD-diffusion is trained (doi 10.1111/cgf.15251), and its presets. Imports no torch."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from models.config.backbone import POCKET, is_pocket
from models.config.base import PREDICTING
from models.config.training import Facts, LatentConfig, TrainingSet, Weights, weights_label
from models.errors import UserError


class SodDiffusionConfig(LatentConfig):
    """SOD-diffusion (doi 10.1111/cgf.15251): masks denoised step by step, attending to a Swin transformer's features.

    The defaults are the paper's; preset 'released' replaces them by SOD_RELEASED, and the pocket backbone both by
    POCKET_SOD. The ablations are swin 'none', fusion 'plain', context_projection 'none' and auxiliary 0.
    """

    segmenter: Literal["sod-diffusion"] = Field("sod-diffusion", description="name of the segmenter")
    preset: Literal["paper", "released"] = Field("paper", description="source of values that are not given")
    size: int = Field(384, ge=64, le=2048, description="side in pixels of the square to which images are resized")
    learning_rate: float = Field(3e-5, gt=0, le=10, description="learning rate of AdamW")
    weight_decay: float = Field(1e-2, ge=0, description="decoupled weight decay (AdamW); 0 is Adam")
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="norm to which larger gradients are clipped; absent, they are not clipped"
    )
    batch_size: int = Field(4, ge=1, le=4096, description="samples of one batch on one device")
    gradient_accumulation_steps: int = Field(
        8, ge=1, le=4096, description="batches whose gradients are averaged for one optimizer step"
    )
    swin: str = Field(
        "swin_base_patch4_window12_384",
        pattern=r"^(none|pocket|swin_[\w.]+)$",
        description="the encoder: a Swin of timm; 'pocket', a small one; or 'none', with the empty prompt instead",
    )
    weights: Weights = Field(
        "pretrained", description="the Swin's weights: 'pretrained', downloaded by its name; a file; or 'random'"
    )
    freeze_swin: bool = Field(True, description="do not train the Swin")
    fusion: Literal["cbam", "paa", "plain"] = Field(
        "cbam",
        description="how the Swin's stages are fused into one map: by CBAM, by parallel axial attention, or 'plain'",
    )
    context_projection: Literal["conv1x1", "tile16", "none"] = Field(
        "conv1x1",
        description="AFIM: projection of that map to the channels of the UNet's keys and values, learnt or by "
        "repetition; 'none' uses one plain cross-attention before the UNet instead",
    )
    conv_in: Literal["dup_half", "fresh"] = Field(
        "dup_half",
        description="initial weights of the UNet's doubled input: the backbone's, repeated and halved, or random ones",
    )
    rgb_range: Literal["-1..1", "0..1"] = Field(
        "-1..1",
        description="range of the pixels for the VAE; with 0..1 also for the Swin, which else gets its weights' range",
    )
    auxiliary: float = Field(
        1.0, ge=0, description="weight of the loss on the Swin's fused features; 0 is no such loss"
    )
    steps: Annotated[int, PREDICTING] = Field(10, ge=1, le=500, description="DDIM steps of a prediction")
    spacing: Annotated[Literal["leading", "trailing"], PREDICTING] = Field(
        "leading",
        description="timesteps: 'leading' from 0 up (released code), or 'trailing' from the noisiest level down, which "
        "few steps need; validation always uses 'trailing'",
    )
    ensemble: Annotated[int, PREDICTING] = Field(
        10, ge=1, le=100, description="number of predictions, each from another noise, that are merged into a mask"
    )
    validation_steps: int = Field(10, ge=1, le=500, description="DDIM steps in validation, which uses no ensemble")

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from super().presets(given)
        if given.get("preset") == "released":
            yield SOD_RELEASED
        if is_pocket(given.get("backbone", POCKET)):
            yield POCKET_SOD

    @model_validator(mode="after")
    def _swin_has_weights(self) -> "SodDiffusionConfig":
        if is_pocket(self.swin) and self.weights != "random":
            raise UserError(f"weights: expected 'random' for swin 'pocket', got {self.weights!r}; change it")
        if self.swin != "none" and self.weights == "random" and self.freeze_swin:
            raise UserError("freeze_swin: expected false if the Swin's weights are random, got true; change it")
        return self

    @model_validator(mode="after")
    def _starts_from_noise(self) -> "SodDiffusionConfig":
        if self.spacing == "leading" and self.steps == 1:
            raise UserError(
                "steps: expected at least 2 with spacing 'leading', whose first step is nearly clean, got 1; raise "
                "steps or set spacing to 'trailing'"
            )
        return self

    def as_trained(self) -> Self:
        return super().as_trained().model_copy(update={"weights": "random"})

    def fetch_weights(self) -> None:
        if self.swin == "none" or is_pocket(self.swin):
            return
        from models.segmenters.encoders import timm_encoder

        timm_encoder(self.swin, self.weights)

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        super().check(facts, training)
        assert facts is not None, "uses_backbone names a backbone, so its facts are given"
        if self.swin != "none" and self.context_projection == "tile16" and facts.cross_width % 64:
            raise UserError(
                "context_projection: tile16 needs a cross-attention whose width is a multiple of 64, got "
                f"{facts.cross_width} in backbone {self.backbone}; choose conv1x1"
            )

    def label(self) -> str:
        swin = "no encoder" if self.swin == "none" else f"{self.swin}, {weights_label(self.weights)}"
        return f"{super().label()}, {swin}"


SOD_RELEASED = {
    "freeze_swin": False, "fusion": "paa", "context_projection": "tile16", "conv_in": "fresh", "rgb_range": "0..1",
    "steps": 50,
}  # fmt: skip
POCKET_SOD = {
    "swin": POCKET, "weights": "random", "freeze_swin": False, "batch_size": 8, "gradient_accumulation_steps": 1,
    "steps": 4, "spacing": "trailing", "validation_steps": 4,
}  # fmt: skip
