"""AttentionCut's parameters: the paper's numbers (DiffusionSeg, arXiv 2303.09813), and thresholds that adapt.

Imports no torch and knows nothing of how a cut is solved.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from models.config.base import Config

ADAPTIVE_LAMBDA = 6.0  # lambda under adaptive thresholds, unless it is given (docs/decisions/adaptive-cut.md)
FIXED = ("tau", "alpha", "objectness")  # what the paper's thresholds consist of
SeedSet = float | Literal["adaptive"]  # what chooses the seeds of r(p): tau, or each image's own
# The seed sets whose r(p) every dataset stores, so that a recut may take any of them without the attention itself. A
# dataset names its own (attribute `seed_sets`), and older ones have none.
TAUS = (0.16, 0.3, 0.4, 0.5, 0.6, 0.7)
SEED_SETS: tuple[SeedSet, ...] = (*TAUS, "adaptive")


class CutConfig(Config):
    """AttentionCut: objectness, inner coherence, the graph, and the mask's post-processing.

    Whoever gives tau, alpha or objectness and no thresholds has the paper's, with these values.
    """

    thresholds: Literal["adaptive", "paper"] = Field(
        "adaptive",
        description="'adaptive' reads tau, alpha and the decision level from each image's maps, with lambda 6 unless it "
        "is given; 'paper' uses tau, alpha and objectness as they stand here",
    )
    tau: float = Field(
        0.16, ge=0, le=1, description="threshold on the class map (in [0, 1]) whose boundary gives the seeds B"
    )
    num_seeds: int = Field(64, ge=1, description="|B|: boundary pixels drawn as seeds of r(p)")
    alpha: float = Field(2.5, ge=0, le=1000, description="weight of r(p) beside A_c in the objectness (eq. 4)")
    objectness: Literal["sum", "mean"] = Field(
        "sum", description="'sum' is eq. 4, clamped to at most 1; 'mean' divides it by 1 + alpha"
    )
    lambda_: float = Field(
        0.1, ge=0, le=1e6, alias="lambda", description="weight of inner coherence (eq. 6), at image resolution"
    )
    clamp: float = Field(
        1e-4, ge=1e-6, lt=0.5, description="objectness is kept within [clamp, 1 - clamp] before its logarithm"
    )
    neighbourhood: Literal[4, 8] = Field(8, description="neighbours of a pixel in the graph")
    geodesic_scale: float = Field(10.0, ge=0, le=1e6, description="scale of D in exp(-D), for RGB in [0, 1]")
    affinity_scale: Literal["range"] | Annotated[float, Field(ge=0, le=1e6)] = Field(
        "range", description="factor on A_s in Psi; 'range' scales its largest value between neighbours to 1"
    )
    grid: Literal["attention", "banded", "full"] = Field("banded", description="where the cut is solved")
    band: int = Field(
        2, ge=1, description="half-width of the band around the coarse boundary, in attention cells (grid banded)"
    )
    min_component: float = Field(
        0.2, ge=0, le=1, description="components smaller than this share of the largest are removed"
    )
    max_hole: float = Field(0.005, ge=0, le=1, description="holes smaller than this share of the image are filled")
    bilateral: bool = Field(False, description="smooth the mask with the fast bilateral solver")

    @model_validator(mode="before")
    @classmethod
    def _paper_where_its_numbers_are_given(cls, given: Any, info: ValidationInfo) -> Any:
        """Thresholds of a config that names none: the paper's if it gives their values, or was stored without them."""
        if not isinstance(given, dict) or "thresholds" in given:
            return given
        is_stored = bool(info.context and info.context.get("stored"))  # by a version that had no others
        return given | {"thresholds": "paper"} if is_stored or given.keys() & set(FIXED) else given

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from super().presets(given)
        if given.get("thresholds", "adaptive") == "adaptive":
            yield {"lambda": ADAPTIVE_LAMBDA}

    @property
    def seed_set(self) -> SeedSet:
        """What chooses the seeds of r(p), as in SEED_SETS."""
        return "adaptive" if self.thresholds == "adaptive" else self.tau

    def with_seed_set(self, seeds: SeedSet) -> Self:
        """The config with the seeds of r(p) chosen by `seeds`."""
        if seeds == "adaptive":
            return self.model_copy(update={"thresholds": "adaptive"})
        return self.model_copy(update={"thresholds": "paper", "tau": seeds})
