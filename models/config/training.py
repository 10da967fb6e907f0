"""The configuration that all segmenters share; each adds its own fields in models/segmenters/*/config.py.

A segmenter's configuration also answers a flow's questions before the start: what it needs and what does not fit.
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
from models.paths import given_path


class Facts(Protocol):
    """The part of `models.backbone.facts.BackboneFacts` used here; importing it would make an import circle."""

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> str: ...
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


def refuse_other_families(facts: Facts, segmenter: str) -> None:
    """UserError unless the backbone is of the family whose UNet the three segmenters of the papers are made for."""
    if facts.family != "StableDiffusionPipeline":
        raise UserError(
            f"backbone {facts.name}: {segmenter} trains on Stable Diffusion 1.x or 2.x, got a {facts.family}; choose "
            "one of those (the dataset may come from any backbone)"
        )


@dataclass(frozen=True)
class TrainingSet:
    """The samples to train on: how many, and (H, W) of all their images in pixels.

    image_size: None for a folder of photographs, whose sizes differ. processes: number that train together.
    """

    samples: int
    image_size: tuple[int, int] | None
    processes: int = 1

    def smallest_batch(self, batch_size: int) -> int:
        """Samples of the smallest batch of a process: all batches are full, but for the only one of few samples."""
        return min(batch_size, self.samples // self.processes)


class TrainConfig(Config):
    """How any segmenter is trained; the configuration of each segmenter adds to it."""

    renamed: ClassVar[Mapping[str, str]] = {
        "accumulate": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
        "schedule": "lr_schedule",
        "validation": "val_fraction",
        "warm_up": "warmup_steps",
    }

    segmenter: str = Field(description="name of the segmenter")
    epochs: Annotated[int, FREE] = Field(
        20, ge=1, description="times that each training sample is seen; a finished run can be continued with more"
    )
    batch_size: int = Field(10, ge=1, le=4096, description="samples of one batch on one device")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=4096, description="batches whose gradients are averaged for one optimizer step"
    )
    learning_rate: float = Field(1e-3, gt=0, le=10, description="learning rate of Adam, or its peak")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW); 0 is Adam")
    lr_schedule: Literal["constant", "cosine", "stepped"] = Field(
        "constant",
        description="learning rate after the warmup; 'stepped' multiplies it by 0.95^(e // 30) in epoch e, as DiffDIS",
    )
    warmup_steps: int = Field(0, ge=0, description="steps of linear warmup")
    max_grad_norm: float | None = Field(
        None, gt=0, description="norm to which larger gradients are clipped; absent, they are not clipped"
    )
    val_fraction: float = Field(
        0.1, gt=0, lt=1, description="share of the kept samples held out for validation, chosen by their indices"
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="number of training samples used, chosen by their indices: a larger limit keeps those of a "
        "smaller one, and the held-out samples stay the same; absent, all",
    )
    patience: Annotated[int | None, FREE] = Field(
        None, ge=1, description="stop after this many epochs without a better validation IoU; absent, never"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the initial weights and of the samples' order")
    save_every: Annotated[int, FREE] = Field(
        200, ge=1, description="steps between saved states; one is also saved at the end of each epoch"
    )
    tensorboard: Annotated[bool, FREE] = Field(
        False, description="also write the curves for TensorBoard, which must be installed"
    )
    run: Annotated[RunConfig, FREE] = Field(default_factory=RunConfig, description="use of the machine")

    def label(self) -> str:
        """The segmenter in a few words, for tables."""
        return self.segmenter

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        """UserError if training on these samples, or prediction if `training` is None, cannot work.

        facts: of the backbone that `uses_backbone` names; None without one.
        """

    def fetch_weights(self) -> None:
        """Load weights from a hub, downloading them if needed; UserError if they cannot be loaded. May import torch."""

    def uses_backbone(self) -> str | None:
        """The name of its backbone; None if it needs none."""
        return None

    def takes_class(self) -> bool:
        """Whether a prediction can be given the class that the photographs show."""
        return False

    def clip_asked(self, category: str | None) -> str:
        """The CLIP model that names the class of each photograph of a prediction; 'none' if no CLIP is used.

        category: the class that all of them show, if it is given.
        """
        return "none"

    def caches_features(self) -> bool:
        """Whether the samples' features are computed once, before the training."""
        return False

    def features(self) -> dict[str, Any]:
        """The values that cached features depend on beside the image and the frozen weights, as JSON values."""
        return {}

    def rates(self) -> dict[str, float]:
        """Prefix of parameter names -> factor on their learning rate."""
        return {}

    def as_trained(self) -> Self:
        """The same config for loading a trained run: weights that the run's replace are not downloaded."""
        return self

    @property
    def predicting(self) -> frozenset[str]:
        """Names of the fields that only predictions depend on; they may change for a trained run."""
        return self.marked(PREDICTING)

    def predicts_by(self) -> dict[str, Any]:
        """The values that a prediction depends on beside the weights: `identity` and the `predicting` fields.

        Keyed by the fields' first names, so that digests of earlier predictions stay valid.
        """
        first_names = {name: older for older, name in self.renamed.items()}
        values = self.identity() | self.model_dump(mode="json", include=set(self.predicting))
        return {first_names.get(name, name): value for name, value in values.items()}


class DecoderConfig(TrainConfig):
    """The DiffusionSeg decoder on the features of a frozen network."""

    projection: int | None = Field(
        None, ge=1, description="channels to which a 1x1 convolution first projects each feature map; absent, none"
    )
    widths: tuple[PositiveInt, PositiveInt] = Field(
        (256, 64), description="channels after the first and the second of the three layers"
    )
    loss: Literal["bce", "bce+dice"] = Field(
        "bce", description="binary cross-entropy, or binary cross-entropy plus the soft Dice loss"
    )
    bilateral: Annotated[bool, PREDICTING] = Field(
        False, description="smooth predicted masks with the fast bilateral solver, which follows the image's edges"
    )
    cache: Annotated[bool, FREE] = Field(
        True, description="keep the samples' features in the run folder, in float16; else compute them in each epoch"
    )

    def caches_features(self) -> bool:
        return self.cache


def _absolute_weights(weights: str) -> str:
    """Make a file's path absolute, so that a run finds it from any working directory."""
    return weights if weights in ("pretrained", "random") else str(given_path(weights).absolute())


def weights_label(weights: str) -> str:
    """Where weights come from, for tables: 'random weights', 'weights of dino.pth'."""
    is_keyword = weights in ("pretrained", "random")
    return f"{weights} weights" if is_keyword else f"weights of {Path(weights).name}"


Weights = Annotated[str, PLACE, Field(min_length=1), AfterValidator(_absolute_weights)]


class LatentConfig(TrainConfig, BackboneConfig):
    """A backbone's UNet that learns to denoise the latents of masks, given the latents of the image.

    pocket is far smaller than Stable Diffusion: with it, values not given come first from POCKET_PACE.
    """

    size: int = Field(ge=64, le=2048, description="side in pixels of the square to which images are resized")
    start: Literal["pretrained", "random"] = Field(
        "pretrained", description="the UNet's initial weights: the backbone's, or random ones (DiffDIS, Table 4)"
    )

    def label(self) -> str:
        return f"{self.segmenter}{' from random weights' if self.start == 'random' else ''}"

    def as_trained(self) -> Self:
        return self.model_copy(update={"start": "random"})

    def uses_backbone(self) -> str | None:
        return self.backbone

    def check(self, facts: Facts | None, training: TrainingSet | None) -> None:
        assert facts is not None, "uses_backbone names a backbone, so its facts are given"
        refuse_other_families(facts, self.segmenter)
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
