"""What the trainings of all segmenters have in common; each adds its own in models/segmenters/*/config.py.

Imports no torch and knows no segmenter by name.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from models.config.backbone import POCKET, BackboneConfig, is_pocket
from models.config.base import Config
from models.config.run import RunConfig


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


def _absolute_weights(weights: str) -> str:
    """A file's absolute path, so that a run finds it from wherever it is called."""
    return weights if weights in ("pretrained", "random") else str(Path(weights).absolute())


def weights_label(weights: str) -> str:
    own = weights in ("pretrained", "random")
    return f"{weights} weights" if own else f"weights of {Path(weights).name}"


Weights = Annotated[str, Field(min_length=1), AfterValidator(_absolute_weights)]


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
        pocket = isinstance(given, dict) and is_pocket(given.get("backbone", POCKET))
        return POCKET_PACE | given if pocket else given


POCKET_PACE = {"size": 128, "learning_rate": 3e-4}
