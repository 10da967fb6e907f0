"""Which image/mask pairs a dataset keeps.

Imports no torch and knows nothing of how scores are measured.
"""

from pydantic import Field, model_validator

from models.config.base import Config
from models.errors import UserError


class ScreenConfig(Config):
    """Which pairs are kept. The first failing test names the reason; docs/screening.md has each test's source."""

    min_area: float = Field(0.02, ge=0, le=1, description="smallest share of the image a mask may cover")
    max_area: float = Field(0.85, ge=0, le=1, description="largest share of the image a mask may cover")
    max_border: float | None = Field(
        None, ge=0, le=1, description="largest share of the image's outermost pixels a mask may cover; any when absent"
    )
    max_components: int | None = Field(
        None, ge=1, description="largest number of connected parts a mask may have; any when absent"
    )
    max_uncertainty: float = Field(0.5, ge=0, le=1, description="largest uncertainty score a mask may have")
    drop_uncertain: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the whole dataset to drop, the most uncertain by the entropy of a mask's top 10 % "
        "pixels, of those that pass all other tests; 0 drops none",
    )
    clip: str = Field(
        "ViT-B-32:openai",
        description="'none', an open_clip model as in 'RN50:openai' or 'ViT-B-32:/path/weights.pt', or 'pocket', "
        "the pocket backbone's own and its default",
    )
    min_clip: float | None = Field(
        None,
        ge=0,
        le=1,
        description="smallest CLIP confidence of the class among all that the backbone is asked for; above 1 / their "
        "number when absent",
    )
    clip_top_up: int = Field(
        0,
        ge=0,
        description="samples wanted of each class: where fewer pass, those of the highest CLIP confidence are taken "
        "of those that fail CLIP's test alone",
    )
    duplicate_image: float | None = Field(
        None,
        gt=0,
        le=1,
        description="cosine of CLIP's image embeddings to an earlier sample of its class from which on a sample is "
        "a near-duplicate; none is when absent",
    )
    duplicate_prompt: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of words, of those in either prompt, that are in an earlier one of its class too from "
        "which on a sample is a near-duplicate (1: the same words); none is when absent",
    )

    @model_validator(mode="after")
    def _some_area_passes(self) -> "ScreenConfig":
        if self.min_area > self.max_area:
            raise UserError(
                f"screen.min_area: expected screen.max_area, {self.max_area:g}, at most, got {self.min_area:g}, which "
                "no mask can pass; change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _images_are_compared_by_clip(self) -> "ScreenConfig":
        if self.duplicate_image is not None and self.clip == "none":
            raise UserError(
                "screen.duplicate_image: compares CLIP's embeddings, and screen.clip is 'none'; name a model there, "
                "or leave duplicate_image out"
            )
        return self
