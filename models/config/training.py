"""What the trainings of all segmenters have in common; each adds its own in models/segmenters/*/config.py.

A segmenter's configuration also answers what a flow asks before it starts: what it needs, and what does not fit.
Imports no torch and knows no segmenter by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import AfterValidator, Field, PositiveInt

from models.config.backbone import POCKET, BackboneConfig, is_pocket
from models.config.base import FREE, PLACE, PREDICTING, Config
from models.config.run import RunConfig
from models.errors import UserError


class Facts(Protocol):
    """What is asked of a backbone's facts, `models.backbone.facts.BackboneFacts`, whose package builds on this one."""

    @property
    def name(self) -> str: ...
    @property
    def vae_factor(self) -> int: ...
    @property
    def multiple(self) -> int: ...
    @property
    def num_halvings(self) -> int: ...
    @property
    def num_middle(self) -> int: ...
    @property
    def cross_width(self) -> int: ...
    def sizes(self, height: int | None, width: int | None) -> tuple[tuple[int, int], tuple[int, int]]: ...


@dataclass(frozen=True)
class TrainingSet:
    """The samples to train on: how many, and (H, W) of all their images in pixels.

    image_size: None of a folder of photographs, each of a size of its own.
    """

    samples: int
    image_size: tuple[int, int] | None


class TrainConfig(Config):
    """How a segmenter is trained, whichever it is; a segmenter's own configuration adds to it."""

    renamed: ClassVar[Mapping[str, str]] = {
        "accumulate": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
        "schedule": "lr_schedule",
        "validation": "val_fraction",
        "warm_up": "warmup_steps",
    }

    segmenter: str = Field(description="name of the segmenter")
    epochs: Annotated[int, FREE] = Field(
        20, ge=1, description="times each training sample is seen; may be raised for a finished run"
    )
    batch_size: int = Field(10, ge=1, le=4096, description="samples of one batch on one device")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=4096, description="batches whose gradients are averaged in one step"
    )
    learning_rate: float = Field(1e-3, gt=0, le=10, description="learning rate of Adam, or its peak")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW); 0 is Adam")
    lr_schedule: Literal["constant", "cosine", "stepped"] = Field(
        "constant",
        description="learning rate after the warm-up; 'stepped' multiplies it by 0.95^(e // 30) in each epoch e, as "
        "DiffDIS does",
    )
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    max_grad_norm: float | None = Field(
        None, gt=0, description="largest norm of the gradient; absent, it is not clipped"
    )
    val_fraction: float = Field(
        0.1, gt=0, lt=1, description="share of the kept samples held out, chosen by their indices"
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="training samples used, chosen by their indices: a smaller limit's are among a larger one's, and "
        "those held out stay the same; absent, all",
    )
    patience: Annotated[int | None, FREE] = Field(
        None, ge=1, description="epochs without a better validation IoU that end the training"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the first weights and of the samples' order")
    save_every: Annotated[int, FREE] = Field(
        200, ge=1, description="steps between saved states, beside the end of each epoch"
    )
    tensorboard: Annotated[bool, FREE] = Field(
        False, description="write the curves for TensorBoard too, which must be installed"
    )
    run: Annotated[RunConfig, FREE] = Field(default_factory=RunConfig, description="use of the machine")

    def label(self) -> str:
        """The segmenter in a few words, for tables."""
        return self.segmenter

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        """UserError for what would stop a training on these samples, or where there are none a prediction.

        facts: of the backbone that it `uses_backbone`, None without one.
        """

    def fetch_weights(self) -> None:
        """Load what a hub has, fetching it if need be; UserError where it cannot be had. Imports torch if it does."""

    def uses_backbone(self) -> str | None:
        """The name of its backbone; None where it needs none."""
        return None

    def takes_class(self) -> bool:
        """Whether a prediction can be told what the photographs show."""
        return False

    def clip_asked(self, category: str | None) -> str:
        """The CLIP that names what the photographs of a prediction show, 'none' where it is not asked.

        category: what all of them show, where it is given.
        """
        return "none"

    def caches_features(self) -> bool:
        """Whether the samples' features are made once, before the training."""
        return False

    def features(self) -> dict[str, Any]:
        """What a sample's cached features follow from, beside its image and the frozen weights, as JSON values."""
        return {}

    def rates(self) -> dict[str, float]:
        """Beginning of parameters' names -> factor on their learning rate."""
        return {}

    def as_trained(self) -> Self:
        """The same where a run's own weights will be loaded: nothing is fetched that they take the place of."""
        return self

    @property
    def predicting(self) -> frozenset[str]:
        """Names of the fields that predictions alone depend on, which may change for a trained run."""
        return self.marked(PREDICTING)

    def predicts_by(self) -> dict[str, Any]:
        """What a prediction depends on beside the weights: the identity, and what predictions alone depend on.

        By the names that the fields had first: digests of it tell whether earlier predictions are done.
        """
        first = {name: older for older, name in self.renamed.items()}
        values = self.identity() | self.model_dump(mode="json", include=set(self.predicting))
        return {first.get(name, name): value for name, value in values.items()}


class DecoderConfig(TrainConfig):
    """The DiffusionSeg decoder on the features of a frozen network."""

    projection: int | None = Field(
        None, ge=1, description="channels each feature map is brought to by a 1x1 convolution first; absent, none is"
    )
    widths: tuple[PositiveInt, PositiveInt] = Field(
        (256, 64), description="channels after the first and the second of the three layers"
    )
    loss: Literal["bce", "bce+dice"] = Field(
        "bce", description="binary cross-entropy, or with the soft Dice loss added"
    )
    bilateral: Annotated[bool, PREDICTING] = Field(
        False, description="smooth predicted masks with the fast bilateral solver, which finds the image's edges again"
    )
    cache: Annotated[bool, FREE] = Field(
        True, description="keep the samples' features in the run folder, in float16; else they are made anew each epoch"
    )

    def caches_features(self) -> bool:
        return self.cache


def _absolute_weights(weights: str) -> str:
    """A file's absolute path, so that a run finds it from wherever it is called."""
    return weights if weights in ("pretrained", "random") else str(Path(weights).absolute())


def weights_label(weights: str) -> str:
    """Where weights come from, for tables: 'random weights', 'weights of dino.pth'."""
    own = weights in ("pretrained", "random")
    return f"{weights} weights" if own else f"weights of {Path(weights).name}"


Weights = Annotated[str, PLACE, Field(min_length=1), AfterValidator(_absolute_weights)]


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

    def uses_backbone(self) -> str | None:
        return self.backbone

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        assert facts is not None, "of the backbone"
        super().check(facts, training)
        if self.size % facts.multiple:
            fits = f"a multiple of {facts.multiple} for backbone {self.backbone}"
            raise UserError(f"size: expected {fits}, got {self.size}; change it")

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from super().presets(given)
        if is_pocket(given.get("backbone", POCKET)):
            yield POCKET_PACE


POCKET_PACE = {"size": 128, "learning_rate": 3e-4}
