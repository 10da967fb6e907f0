"""How each segmenter is trained: one frozen configuration a segmenter, and the table of their names.

As models/config.py's, each is the YAML file's schema and the CLI's options in one. Imports no torch.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from models.config import BackboneConfig, Config, PriorConfig, RunConfig


class TrainConfig(Config):
    """How a segmenter is trained, whichever it is; a segmenter's own configuration adds to it.

    predicting: names of the fields that predictions alone depend on, which may change for a trained run.
    """

    predicting: ClassVar[frozenset[str]] = frozenset()

    segmenter: str = Field(description="name of the segmenter")
    epochs: int = Field(20, ge=1, description="times each training sample is seen; may be raised for a finished run")
    batch_size: int = Field(10, ge=1, le=4096, description="samples of one batch on one device")
    accumulate: int = Field(1, ge=1, le=4096, description="batches whose gradients are averaged in one step")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="learning rate of Adam, or its peak")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW); 0 is Adam")
    schedule: Literal["constant", "cosine", "stepped"] = Field(
        "constant",
        description="learning rate after the warm-up; 'stepped' multiplies it by 0.95^(e // 30) in each epoch e, as "
        "DiffDIS does",
    )
    warm_up: int = Field(0, ge=0, description="steps of linear warm-up")
    clip: float | None = Field(None, gt=0, description="largest norm of the gradient; absent, it is not clipped")
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the kept samples held out, chosen by their indices"
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="training samples used, chosen by their indices: a smaller limit's are among a larger one's, and "
        "those held out stay the same; absent, all",
    )
    patience: int | None = Field(None, ge=1, description="epochs without a better validation IoU that end the training")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the first weights and of the samples' order")
    save_every: int = Field(200, ge=1, description="steps between saved states, beside the end of each epoch")
    tensorboard: bool = Field(False, description="write the curves for TensorBoard too, which must be installed")
    run: RunConfig = Field(default_factory=RunConfig, description="use of the machine")

    def label(self) -> str:
        """The segmenter in a few words, for tables."""
        return self.segmenter

    def caches_features(self) -> bool:
        """Whether the samples' features are made once, before the training."""
        return False

    def rates(self) -> dict[str, float]:
        """Beginning of parameters' names -> factor on their learning rate."""
        return {}

    def as_trained(self) -> Self:
        """The same where a run's own weights will be loaded: nothing is fetched that they take the place of."""
        return self

    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to be resumed: all but its length, the machine's use and `predicting`."""
        free = {"epochs", "patience", "save_every", "tensorboard", "run"}
        return self.model_dump(mode="json", exclude=free | self.predicting)

    def predicts_by(self) -> dict[str, Any]:
        """What a prediction depends on beside the weights: the identity, and what predictions alone depend on."""
        return self.identity() | self.model_dump(mode="json", include=set(self.predicting))


class DecoderConfig(TrainConfig):
    """The DiffusionSeg decoder on the features of a frozen network."""

    predicting: ClassVar[frozenset[str]] = frozenset({"bilateral"})

    projection: int | None = Field(
        None, ge=1, description="channels each feature map is brought to by a 1x1 convolution first; absent, none is"
    )
    widths: tuple[PositiveInt, PositiveInt] = Field(
        (256, 64), description="channels after the first and the second of the three layers"
    )
    loss: Literal["bce", "bce+dice"] = Field(
        "bce", description="binary cross-entropy, or with the soft Dice loss added"
    )
    bilateral: bool = Field(
        False, description="smooth predicted masks with the fast bilateral solver, which finds the image's edges again"
    )
    cache: bool = Field(
        True, description="keep the samples' features in the run folder, in float16; else they are made anew each epoch"
    )

    def caches_features(self) -> bool:
        return self.cache

    def identity(self) -> dict[str, Any]:
        return {name: value for name, value in super().identity().items() if name != "cache"}


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


def _absolute_weights(weights: str) -> str:
    """A file's absolute path, so that a run finds it from wherever it is called."""
    return weights if weights in ("pretrained", "random") else str(Path(weights).absolute())


def _in_words(weights: str) -> str:
    own = weights in ("pretrained", "random")
    return f"{weights} weights" if own else f"weights of {Path(weights).name}"


Weights = Annotated[str, Field(min_length=1), AfterValidator(_absolute_weights)]


class EncoderConfig(DecoderConfig):
    """The DiffusionSeg decoder on the features of a frozen pre-trained encoder, as DINO's, MoCo's or CLIP's."""

    segmenter: Literal["encoder"] = Field("encoder", description="name of the segmenter")
    encoder: str = Field(
        "timm:vit_small_patch16_224.dino",
        pattern=r"^(timm:[^:]+|open_clip:[^:]+(:[^:]+)?)$",
        description="a model of timm, as in 'timm:resnet50', or of open_clip, as in 'open_clip:ViT-B-32:openai'",
    )
    weights: Weights = Field(
        "pretrained", description="'pretrained', fetched by the encoder's name; a file; or 'random'"
    )
    layers: int = Field(
        3, ge=1, description="last blocks of a ViT, or last strides of a ResNet, that features are taken from"
    )

    def label(self) -> str:
        return f"{self.segmenter}, {self.encoder}, {_in_words(self.weights)}"

    def features(self) -> dict[str, Any]:
        """What a sample's features follow from, beside its image and the encoder's weights."""
        return {"encoder": self.encoder, "layers": self.layers}


Encoder = Literal["resnet18", "resnet34", "resnet50", "resnet101"]


class BaselineConfig(TrainConfig):
    """A network of segmentation_models_pytorch, trained from random weights on images of one square size."""

    encoder: Encoder = Field(description="the network's encoder")
    encoder_weights: Literal["random"] = Field("random", description="the encoder's first weights; none are pretrained")
    size: int = Field(
        256, ge=64, le=2048, multiple_of=32, description="side in pixels of the square that images are brought to"
    )
    flips: bool = Field(True, description="mirror half of the training images, drawn anew each time")

    def label(self) -> str:
        return f"{self.segmenter}, {self.encoder}, from {self.encoder_weights} weights"


class UNetConfig(BaselineConfig):
    """UNet (arXiv 1505.04597) with a residual encoder."""

    segmenter: Literal["unet"] = Field("unet", description="name of the segmenter")
    encoder: Encoder = Field("resnet34", description="the network's encoder")


class DeepLabV3Config(BaselineConfig):
    """DeepLabV3 (arXiv 1706.05587)."""

    segmenter: Literal["deeplabv3"] = Field("deeplabv3", description="name of the segmenter")
    encoder: Encoder = Field("resnet50", description="the network's encoder")


class LatentConfig(TrainConfig, BackboneConfig):
    """A backbone's UNet that learns to denoise masks in the VAE's latents, the image's latents beside them.

    pocket is far smaller than Stable Diffusion: with it, values not given come from POCKET_PACE first.
    """

    size: int = Field(ge=64, le=2048, description="side in pixels of the square that images are brought to")
    start: Literal["pretrained", "random"] = Field(
        "pretrained", description="the UNet's first weights: the backbone's, or random ones (DiffDIS, Table 4)"
    )

    def label(self) -> str:
        return f"{self.segmenter}{' from random weights' if self.start == 'random' else ''}"

    def as_trained(self) -> Self:
        return self.model_copy(update={"start": "random"})

    @model_validator(mode="before")
    @classmethod
    def _at_pockets_pace(cls, given: Any) -> Any:
        pocket = isinstance(given, dict) and given.get("backbone", "pocket") == "pocket"
        return POCKET_PACE | given if pocket else given


POCKET_PACE = {"size": 128, "learning_rate": 3e-4}


class SodDiffusionConfig(LatentConfig):
    """SOD-diffusion (doi 10.1111/cgf.15251): masks denoised step by step, attending to a Swin transformer's features.

    The defaults are the paper's; with preset 'released' SOD_RELEASED goes before them, and with pocket POCKET_SOD
    before that. The ablations are swin 'none', fusion 'plain', context_projection 'none' and auxiliary 0.
    """

    predicting: ClassVar[frozenset[str]] = frozenset({"steps", "spacing", "ensemble"})

    segmenter: Literal["sod-diffusion"] = Field("sod-diffusion", description="name of the segmenter")
    preset: Literal["paper", "released"] = Field("paper", description="where values not given come from")
    size: int = Field(384, ge=64, le=2048, description="side in pixels of the square that images are brought to")
    learning_rate: float = Field(3e-5, gt=0, le=10, description="learning rate of AdamW")
    weight_decay: float = Field(1e-2, ge=0, description="decoupled weight decay (AdamW); 0 is Adam")
    clip: float | None = Field(1.0, gt=0, description="largest norm of the gradient; absent, it is not clipped")
    batch_size: int = Field(4, ge=1, le=4096, description="samples of one batch on one device")
    accumulate: int = Field(8, ge=1, le=4096, description="batches whose gradients are averaged in one step")
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
    steps: int = Field(10, ge=1, le=500, description="DDIM steps of a prediction")
    spacing: Literal["leading", "trailing"] = Field(
        "leading",
        description="where they lie: from 0 up, as released, or from the noisiest level down, which few steps need; a "
        "validation's do",
    )
    ensemble: int = Field(10, ge=1, le=100, description="predictions, each from a noise of its own, that a mask is of")
    validation_steps: int = Field(10, ge=1, le=500, description="DDIM steps of a validation, which has no ensemble")

    @model_validator(mode="before")
    @classmethod
    def _under_presets(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        pocket = POCKET_SOD if given.get("backbone", "pocket") == "pocket" else {}
        released = SOD_RELEASED if given.get("preset") == "released" else {}
        return released | pocket | given

    @model_validator(mode="after")
    def _swin_has_weights(self) -> "SodDiffusionConfig":
        if self.swin == "pocket" and self.weights != "random":
            raise ValueError(f"weights: expected 'random' for swin 'pocket', got {self.weights!r}; change it")
        if self.swin != "none" and self.weights == "random" and self.freeze_swin:
            raise ValueError("freeze_swin: expected false where the Swin's weights are random, got true; change it")
        return self

    @model_validator(mode="after")
    def _starts_from_noise(self) -> "SodDiffusionConfig":
        if self.spacing == "leading" and self.steps == 1:
            raise ValueError("steps: expected 2 or more with spacing 'leading', whose first is nearly clean, got 1")
        return self

    def as_trained(self) -> Self:
        return super().as_trained().model_copy(update={"weights": "random"})

    def label(self) -> str:
        swin = "no encoder" if self.swin == "none" else f"{self.swin}, {_in_words(self.weights)}"
        return f"{super().label()}, {swin}"


SOD_RELEASED = {
    "freeze_swin": False, "fusion": "paa", "context_projection": "tile16", "conv_in": "fresh", "rgb_range": "0..1",
    "steps": 50,
}  # fmt: skip
POCKET_SOD = {
    "swin": "pocket", "weights": "random", "freeze_swin": False, "batch_size": 8, "accumulate": 1, "steps": 4,
    "spacing": "trailing", "validation_steps": 4,
}  # fmt: skip


class DiffDisConfig(LatentConfig):
    """DiffDIS (ICLR 2025): a mask and its edge from noise in one step; the fields from `steps` on are its ablations.

    Paper and released code part in a few fields; with preset 'paper' or 'released' DIFFDIS_PAPER or DIFFDIS_RELEASED go
    before the defaults.
    """

    predicting: ClassVar[frozenset[str]] = frozenset({"tta"})

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
    schedule: Literal["constant", "cosine", "stepped"] = Field(
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
    tta: bool = Field(
        False, description="average six predictions, at three scales and mirrored, as the released code does"
    )

    @model_validator(mode="before")
    @classmethod
    def _under_presets(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        paper = DIFFDIS_PAPER if given.get("preset") == "paper" else {}
        released = DIFFDIS_RELEASED if given.get("preset") == "released" else {}
        return paper | released | given

    @model_validator(mode="after")
    def _needs_an_edge(self) -> "DiffDisConfig":
        if self.dbia != "none" and not self.edge:
            raise ValueError(
                f"dbia: expected none where edge is false, got {self.dbia!r}, which has no edge to attend to; set dbia "
                "to none, or edge to true"
            )
        return self

    def rates(self) -> dict[str, float]:
        return {"unet.class_embedding": 10.0}


DIFFDIS_PAPER = {"noise": "normal", "augment": "paper"}
DIFFDIS_RELEASED = {"condition": "images", "epochs": 100, "tta": True}

SEGMENTERS: dict[str, type[TrainConfig]] = {
    "diffusionseg": DiffusionSegConfig,
    "encoder": EncoderConfig,
    "unet": UNetConfig,
    "deeplabv3": DeepLabV3Config,
    "sod-diffusion": SodDiffusionConfig,
    "diffdis": DiffDisConfig,
}
# Any of them, told apart by its name: what a flow takes.
SegmenterConfig = Annotated[
    DiffusionSegConfig | EncoderConfig | UNetConfig | DeepLabV3Config | SodDiffusionConfig | DiffDisConfig,
    Field(discriminator="segmenter"),
]
