"""The configuration of masks of photographs: the class each photo is assumed to show, inversion and cut.

Imports no torch and knows nothing of how a photo is inverted.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from models.config.backbone import BackboneConfig, clip_from_home
from models.config.base import FREE, Config
from models.config.cut import CutConfig
from models.config.run import RunConfig
from models.config.sampling import CaptureConfig


class PriorConfig(Config):
    """The class a photo is assumed to show."""

    clip: Annotated[str, AfterValidator(clip_from_home)] = Field(
        "ViT-B-32:openai",
        description="names a photo's class: an open_clip model as in 'RN50:openai' or 'ViT-B-32:/path/weights.pt'; "
        "'pocket' for the one that ships with the pocket backbone, its default; or 'none' for the empty prompt",
    )
    category: str | None = Field(None, min_length=1, description="class of every photo, in place of CLIP's")


class MaskConfig(BackboneConfig):
    """Everything that determines the masks of photographs."""

    prior: PriorConfig = Field(default_factory=PriorConfig, description="the class a photo is assumed to show")
    sampling: CaptureConfig = Field(default_factory=CaptureConfig, description="inversion, reverse pass and capture")
    cut: CutConfig = Field(default_factory=CutConfig, description="AttentionCut; lambda is for the backbone's size")
    run: Annotated[RunConfig, FREE] = Field(default_factory=RunConfig, description="use of the machine")

    def identity(self) -> dict[str, Any]:
        """As in `Config`, without thresholds that are the paper's: masks made before there were others stay done."""
        values = super().identity()
        if self.cut.thresholds == "paper":
            del values["cut"]["thresholds"]
        return values
