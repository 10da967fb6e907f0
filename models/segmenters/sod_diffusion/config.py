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

    The defaults are the paper's; SOD_RELEASED goes before them with preset 'released', and POCKET_SOD before both with
    pocket. The ablations are swin 'none', fusion 'plain', context_projection 'none' and auxiliary 0.
    """

    segmenter: Literal["sod-diffusion"] = Field("sod-diffusion", description="name of the segmenter")
    preset: Literal["paper", "released"] = Field("paper", description="where values not given come from")
    size: int = Field(384, ge=64, le=2048, description="side in pixels of the square that images are brought to")
    learning_rate: float = Field(3e-5, gt=0, le=10, description="learning rate of AdamW")
    weight_decay: float = Field(1e-2, ge=0, description="decoupled weight decay (AdamW); 0 is Adam")
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="largest norm of the gradient; absent, it is not clipped"
    )
    batch_size: int = Field(4, ge=1, le=4096, description="samples of one batch on one device")
    gradient_accumulation_steps: int = Field(
        8, ge=1, le=4096, description="batches whose gradients are averaged in one step"
    )
    swin: str = Field(
        "swin_base_patch4_window12_384",
        pattern=r"^(none|pocket|swin_[\w.]+)$",
        description="the encoder: a Swin of timm; 'pocket', a small one; or 'none', the empty prompt in its place",
    )
    weights: Weights = Field(
        "pretrained", description="the Swin's: 'pretrained', fetched by its name; a file; or 'random'"
    )
    freeze_swin: bool = Field(True, description="keep the Swin's weights as they are")
    fusion: Literal["cbam", "paa", "plain"] = Field(
        "cbam",
        description="how the Swin's stages become one map: weighted by CBAM, by parallel axial attention, or 'plain'",
    )
    context_projection: Literal["conv1x1", "tile16", "none"] = Field(
        "conv1x1",
        description="AFIM: how that map's channels become those of the UNet's keys and values, learnt or repeated; "
        "'none' puts one plain cross-attention before the UNet in its place",
    )
    conv_in: Literal["dup_half", "fresh"] = Field(
        "dup_half",
        description="first weights of the UNet's doubled input: the backbone's, repeated and halved, or random ones",
    )
    rgb_range: Literal["-1..1", "0..1"] = Field(
        "-1..1",
        description="pixels that the VAE is given; with 0..1 the Swin is given these too, else its own weights' range",
    )
    auxiliary: float = Field(1.0, ge=0, description="weight of the loss on the Swin's fused features; 0 is none")
    steps: Annotated[int, PREDICTING] = Field(10, ge=1, le=500, description="DDIM steps of a prediction")
    spacing: Annotated[Literal["leading", "trailing"], PREDICTING] = Field(
        "leading",
        description="where they lie: from 0 up, as released, or from the noisiest level down, which few steps need; a "
        "validation's do",
    )
    ensemble: Annotated[int, PREDICTING] = Field(
        10, ge=1, le=100, description="predictions, each from a noise of its own, that a mask is of"
    )
    validation_steps: int = Field(10, ge=1, le=500, description="DDIM steps of a validation, which has no ensemble")

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
            raise UserError("freeze_swin: expected false where the Swin's weights are random, got true; change it")
        return self

    @model_validator(mode="after")
    def _starts_from_noise(self) -> "SodDiffusionConfig":
        if self.spacing == "leading" and self.steps == 1:
            raise UserError("steps: expected 2 or more with spacing 'leading', whose first is nearly clean, got 1")
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
        assert facts is not None, "of the backbone"
        if self.swin != "none" and self.context_projection == "tile16" and facts.cross_width % 64:
            raise UserError(
                f"context_projection: tile16 repeats 64 channels to the backbone's cross-attention, and that of "
                f"{self.backbone} has {facts.cross_width}, no multiple of 64; choose conv1x1"
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
