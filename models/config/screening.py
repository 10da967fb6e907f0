"""The configuration of screening: which image/mask pairs a dataset keeps.

Imports no torch and knows nothing of how scores are measured.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from models.config.backbone import clip_from_home
from models.config.base import Config
from models.errors import UserError


class ScreenConfig(Config):
    """Which pairs are kept. The first failing test gives the reason; docs/screening.md has the source of each test."""

    min_area: float = Field(0.02, ge=0, le=1, description="smallest share of the image a mask may cover")
    max_area: float = Field(0.85, ge=0, le=1, description="largest share of the image a mask may cover")
    max_border: float | None = Field(
        None, ge=0, le=1, description="largest share of the image's outermost pixels a mask may cover; absent, any"
    )
    max_components: int | None = Field(
        None, ge=1, description="largest number of connected parts a mask may have; absent, any"
    )
    max_uncertainty: float = Field(0.5, ge=0, le=1, description="largest uncertainty score a mask may have")
    drop_uncertain: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the whole dataset to drop: of the samples that pass all other tests, the most uncertain "
        "by the entropy of a mask's top 10 % pixels; 0 drops none",
    )
    clip: Annotated[str, AfterValidator(clip_from_home)] = Field(
        "ViT-B-32:openai",
        description="'none', an open_clip model as in 'RN50:openai' or 'ViT-B-32:/path/weights.pt', or 'pocket', "
        "the one that ships with the pocket backbone and its default",
    )
    min_clip: float | None = Field(
        None,
        ge=0,
        le=1,
        description="smallest CLIP confidence of the sample's class among all classes; absent, above 1 / number of "
        "classes",
    )
    clip_top_up: int = Field(
        0,
        ge=0,
        description="samples wanted of each class: if fewer pass, samples that fail only CLIP's test are added, the "
        "most confident first",
    )
    duplicate_image: float | None = Field(
        None,
        gt=0,
        le=1,
        description="a sample is a near-duplicate if the cosine of its CLIP embedding to that of an earlier sample of "
        "its class reaches this; absent, not tested",
    )
    duplicate_prompt: float | None = Field(
        None,
        gt=0,
        le=1,
        description="a sample is a near-duplicate if its prompt and an earlier one of its class share this part of "
        "their words (1: the same words); absent, not tested",
    )

    @model_validator(mode="after")
    def _some_area_passes(self) -> "ScreenConfig":
        if self.min_area > self.max_area:
            raise UserError(
                f"screen.min_area: expected at most screen.max_area, {self.max_area:g}, got {self.min_area:g}, which "
                "no mask can pass; change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _images_are_compared_by_clip(self) -> "ScreenConfig":
        if self.duplicate_image is not None and self.clip == "none":
            raise UserError(
                "screen.duplicate_image: compares CLIP's embeddings, but screen.clip is 'none'; set screen.clip to a "
                "model, or leave duplicate_image out"
            )
        return self
