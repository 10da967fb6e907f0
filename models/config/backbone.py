"""The base of every configuration that names a backbone, and the backbones' presets.

If other numbers than the paper's work better on a backbone, its preset holds them (docs/decisions/pocket-preset.md).
Imports no torch and knows nothing of how a backbone is loaded.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from models.config.base import PLACE, Config
from models.paths import given_path

POCKET = "pocket"  # the name of the backbone that ships with maskmill, and of its CLIP


def is_pocket(name: Any) -> bool:
    """Whether this name of a backbone or of a CLIP is the pocket's."""
    return name == POCKET


def _from_home(name: str) -> str:
    """The name with a `~` at its beginning replaced by the home folder."""
    return str(given_path(name)) if name.startswith("~") else name


def clip_from_home(name: str) -> str:
    """The name of a CLIP, 'ARCHITECTURE:weights', with a `~` that its weights begin with replaced likewise."""
    architecture, colon, weights = name.partition(":")
    return architecture + colon + _from_home(weights)


class BackboneConfig(Config):
    """Base of the configurations that use a backbone: values not given come from the backbone's preset."""

    backbone: Annotated[str, PLACE, AfterValidator(_from_home)] = Field(
        POCKET,
        min_length=1,
        max_length=1000,
        description="'pocket', a diffusers folder, or a hub id of Stable Diffusion 1.x, 2.x or XL",
    )

    revision: str | None = Field(
        None,
        pattern=r"^\w[\w\-]*([./]\w[\w\-]*)*$",
        max_length=200,
        description="branch, tag or commit of a hub id; absent, the commit in the cache, else that of its main branch",
    )

    def identity(self) -> dict[str, Any]:
        """As of every configuration, but without a revision that is not given: digests made before it was stay valid."""
        identity = super().identity()
        return {name: value for name, value in identity.items() if name != "revision" or value is not None}

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from super().presets(given)
        yield BACKBONE_PRESETS.get(str(given.get("backbone", POCKET)), STABLE_DIFFUSION_PRESET)


BACKBONE_PRESETS: dict[str, dict[str, Any]] = {
    POCKET: {
        "prompts": {"max_overlap": 0.9},
        "sampling": {"guidance": 3.0, "top_k": 8},
        "cut": {"thresholds": "paper", "tau": 0.7, "objectness": "mean", "lambda": 6.0, "affinity_scale": 0.0},
        "screen": {"clip": POCKET, "min_area": 0.06, "drop_uncertain": 0.1},
        "prior": {"clip": POCKET},
        "trial": {"samples": 0},  # the cut above is tuned
    },
}
# The paper's values that differ from the defaults, for all other backbones. The defaults themselves do not change,
# because a stored config that lacks a field means its default.
STABLE_DIFFUSION_PRESET: dict[str, dict[str, Any]] = {
    "screen": {"min_area": 0.1, "max_area": 0.5, "drop_uncertain": 0.1},
}
