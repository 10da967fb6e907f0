"""Frozen configurations, one per stage: the Prefect form, the YAML file's schema and the CLI's options in one.

Imports no torch and knows nothing of how a stage does its work. The paper's numbers are the defaults
(DiffusionSeg, arXiv 2303.09813); a backbone's preset may name others (`BACKBONE_PRESETS`).
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from models.baseconfig import Config
from models.classes import check_name, resolve_classes
from models.promptconfig import PromptConfig
from models.templates import GROUPS


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = tuple(check_name(" ".join(name.split())) for name in names or ("",))
    if twice := sorted(name for name, times in Counter(name.lower() for name in cleaned).items() if times > 1):
        raise ValueError(f"classes: {', '.join(twice)} named more than once; name each class once")
    return cleaned


def _templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    for template in templates:
        if "{category}" not in template:
            raise ValueError(f"templates: the prompt {template!r} does not name its category; write {{category}} in it")
    return templates


Templates = Annotated[tuple[str, ...], AfterValidator(_templates)]
ClassNames = Annotated[tuple[str, ...], AfterValidator(_class_names)]


class CaptureConfig(Config):
    """Going through the backbone's noise levels, and what is recorded of its attention meanwhile."""

    steps: int = Field(40, ge=1, le=500, description="DDIM steps (paper: 40); eta is 0")
    capture: Literal["evidence", "full"] = Field(
        "evidence", description="keep only what the cut needs of A_s, or form the whole A_s (reference)"
    )
    top_k: int = Field(
        5, ge=1, description="k of eq. 2: cross-attention layers averaged into A_c, by standard deviation"
    )


class SamplingConfig(CaptureConfig):
    """Sampling images from the backbone, and what is recorded of its attention meanwhile."""

    guidance: float = Field(7.5, ge=1, le=50, description="classifier-free guidance scale; 1 is none")
    height: int | None = Field(None, ge=8, description="image height in pixels; the backbone's own when absent")
    width: int | None = Field(None, ge=8, description="image width in pixels; the backbone's own when absent")
    keep_pooled: bool = Field(
        False,
        description="store the exact columns of the symmetrised A_s at the seed cells and each layer's class map, "
        "in float16, so that cut.tau, cut.num_seeds and sampling.top_k can change in a recut; see a dry run's size",
    )


class CutConfig(Config):
    """AttentionCut: objectness, inner coherence, the graph, and the mask's post-processing."""

    tau: float = Field(
        0.16, ge=0, le=1, description="threshold on the class map (in [0, 1]) whose boundary gives the seeds B"
    )
    num_seeds: int = Field(64, ge=1, description="|B|: boundary pixels drawn as seeds of r(p)")
    alpha: float = Field(2.5, ge=0, le=1000, description="weight of r(p) beside A_c in the objectness (eq. 4)")
    objectness: Literal["sum", "mean"] = Field(
        "sum", description="'sum' is eq. 4, clamped where it passes 1; 'mean' divides it by 1 + alpha"
    )
    lambda_: float = Field(
        0.1, ge=0, le=1e6, alias="lambda", description="weight of inner coherence (eq. 6), stated at image resolution"
    )
    clamp: float = Field(
        1e-4, ge=1e-6, lt=0.5, description="objectness is kept within [clamp, 1 - clamp] before its logarithm"
    )
    neighbourhood: Literal[4, 8] = Field(8, description="neighbours of a pixel in the graph")
    geodesic_scale: float = Field(10.0, ge=0, le=1e6, description="scale of D in exp(-D), for RGB in [0, 1]")
    affinity_scale: Literal["range"] | Annotated[float, Field(ge=0, le=1e6)] = Field(
        "range", description="factor on A_s in Psi; 'range' brings its largest neighbour value to 1"
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
            raise ValueError(
                f"screen.min_area: expected screen.max_area, {self.max_area:g}, at most, got {self.min_area:g}, which "
                "no mask can pass; change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _images_are_compared_by_clip(self) -> "ScreenConfig":
        if self.duplicate_image is not None and self.clip == "none":
            raise ValueError(
                "screen.duplicate_image: compares CLIP's embeddings, and screen.clip is 'none'; name a model there, "
                "or leave duplicate_image out"
            )
        return self


class RunConfig(Config):
    """How a run uses the machine. Changes no sample, and is not compared when a dataset is extended."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="'auto', 'cpu', 'cuda' or 'cuda:1'")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="number format of the networks; auto is float16 on a GPU, float32 on a CPU"
    )
    batch_size: int = Field(8, ge=1, description="images sampled together; halved when memory runs out")
    workers: int = Field(
        0, ge=0, le=1024, description="Dask worker processes for the cuts; 0 cuts in threads of this process"
    )
    address: str | None = Field(
        None,
        pattern=r"^(\w+://)?(\[[\da-fA-F:]+\]|[^\s/:]+):\d+/?$",
        description="address of a running Dask scheduler, as in 'tcp://host:8786', in place of own workers",
    )


class PriorConfig(Config):
    """The class a photo is taken to show."""

    clip: str = Field(
        "ViT-B-32:openai",
        description="names a photo's class: an open_clip model as in 'RN50:openai' or 'ViT-B-32:/path/weights.pt', "
        "'pocket', the pocket backbone's own and its default, or 'none', for the empty prompt",
    )
    category: str | None = Field(None, min_length=1, description="class of every photo, in place of CLIP's")


class BackboneConfig(Config):
    """Base of the configurations of what is done with a backbone: values not given come from its preset."""

    backbone: str = Field(
        "pocket",
        min_length=1,
        max_length=1000,
        description="'pocket', a diffusers folder, or a hub id of Stable Diffusion 1.x / 2.x",
    )

    @model_validator(mode="before")
    @classmethod
    def _under_the_preset(cls, given: Any) -> Any:
        """Values not given come from the backbone's preset, as far as there are such fields, then from the defaults."""
        if not isinstance(given, dict):
            return given
        merged = dict(given)
        preset = BACKBONE_PRESETS.get(str(given.get("backbone", "pocket")), STABLE_DIFFUSION_PRESET)
        for section, values in preset.items():
            own = merged.get(section, {})
            if section in cls.model_fields and isinstance(own, dict):
                merged[section] = _known(cls.model_fields[section].annotation, values) | own
        return merged


def _known(section: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Those of a preset's values that a section has fields for."""
    fields = {field.alias or name for name, field in section.model_fields.items()}
    return {name: value for name, value in values.items() if name in fields}


class BuildConfig(BackboneConfig):
    """Everything a dataset is built from."""

    classes: ClassNames = Field(
        description="names of the object classes; for `imagenet-merged`, or a file in .txt, the names it stands for"
    )
    phrases: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="words that prompts name a class by, where they are not its name alone"
    )
    groups: dict[str, str] = Field(
        default_factory=dict, description="group of categories whose scenes suit a class: animal, vehicle, food ..."
    )
    count: int = Field(ge=1, description="planned number of samples, whatever their status becomes")
    seed: int = Field(
        0, ge=0, lt=2**32, description="dataset seed: with a sample's index it fixes class, prompt and noise"
    )
    shard_size: int = Field(
        64, ge=1, le=4096, description="consecutive samples worked on, retried and committed together"
    )
    templates: Templates = Field((), description="own prompts in place of the grammar, each with {category} in it")
    prompts: PromptConfig = Field(default_factory=PromptConfig, description="who writes the prompts")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig, description="sampling and capture")
    cut: CutConfig = Field(default_factory=CutConfig, description="AttentionCut")
    screen: ScreenConfig = Field(default_factory=ScreenConfig, description="screening")
    run: RunConfig = Field(default_factory=RunConfig, description="use of the machine")

    @model_validator(mode="before")
    @classmethod
    def _spell_classes_out(cls, given: Any) -> Any:
        """A file's classes and `imagenet-merged` by their names, so that a stored config needs neither."""
        return resolve_classes(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _every_phrase_names_one_class(self) -> Self:
        for field in ("phrases", "groups"):
            if strangers := sorted(set(getattr(self, field)) - set(self.classes)):
                raise ValueError(f"{field}: {strangers[0]!r} is none of the classes; check its spelling")
        if unknown := sorted(set(self.groups.values()) - GROUPS.keys()):
            raise ValueError(f"groups: expected one of {', '.join(GROUPS)}, got {unknown[0]!r}; change it")
        owner: dict[str, str] = {}
        for name in self.classes:
            for phrase in self.phrases_of(name):
                check_name(" ".join(phrase.split()), "phrases")
                if owner.setdefault(phrase.lower(), name) != name:
                    raise ValueError(f"phrases: {phrase!r} names both {owner[phrase.lower()]} and {name}; choose one")
        return self

    @model_validator(mode="after")
    def _prompts_have_one_author(self) -> Self:
        if self.templates and self.prompts.model is not None:
            raise ValueError("templates: own prompts leave nothing to write for prompts.model; give one of the two")
        return self

    def phrases_of(self, category: str) -> tuple[str, ...]:
        """The words that prompts may name a class by."""
        return self.phrases.get(category) or (category,)

    def identity(self) -> dict[str, Any]:
        """What must be equal for a dataset to be resumed or extended: all but the count, machines and money."""
        rest = self.model_dump(mode="json", by_alias=True, exclude={"count", "run", "prompts"})
        return rest | {"prompts": self.prompts.model_dump(mode="json", include={"source", "model", "per_class"})}

    @classmethod
    def of_stored(cls, stored: dict[str, Any]) -> "BuildConfig":
        """The config that a dataset stores: fields gained since count as their defaults, not as a preset's values."""
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        sections = {
            name: kind.model_validate(stored[name])
            for name, kind in kinds.items()
            if isinstance(kind, type) and issubclass(kind, Config) and name in stored
        }
        return cls.model_validate(stored | sections)


class MaskConfig(BackboneConfig):
    """Everything the masks of photographs are made from."""

    prior: PriorConfig = Field(default_factory=PriorConfig, description="the class a photo is taken to show")
    sampling: CaptureConfig = Field(default_factory=CaptureConfig, description="inversion, reverse pass and capture")
    cut: CutConfig = Field(default_factory=CutConfig, description="AttentionCut; lambda as at the backbone's size")
    run: RunConfig = Field(default_factory=RunConfig, description="use of the machine")

    def identity(self) -> dict[str, Any]:
        """What a mask depends on: all but the machine's use."""
        return self.model_dump(mode="json", by_alias=True, exclude={"run"})


class PretrainConfig(Config):
    """Making pocket's weights, from nothing or from earlier ones."""

    seed: int = Field(0, ge=0, lt=2**32, description="seed of the scenes, the initial weights and the batches")
    scenes: int = Field(40000, ge=64, description="number of rendered training scenes")
    effort: float = Field(
        1.0, gt=0, le=100, description="factor on the number of steps of every network; below 1 for a trial"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="'auto', 'cpu', 'cuda' or 'cuda:1'")
    start: Path | None = Field(
        None, description="weights folder whose denoiser is trained on, its other networks being taken as they are"
    )


# Where the paper's numbers are not best on a backbone, its preset says so (docs/decisions/pocket-preset.md).
BACKBONE_PRESETS: dict[str, dict[str, Any]] = {
    "pocket": {
        "prompts": {"max_overlap": 0.9},
        "sampling": {"guidance": 3.0, "top_k": 8},
        "cut": {"tau": 0.7, "objectness": "mean", "lambda": 6.0, "affinity_scale": 0.0},
        "screen": {"clip": "pocket", "min_area": 0.06, "drop_uncertain": 0.1},
        "prior": {"clip": "pocket"},
    },
}
# The paper's, of every other backbone, where a default is another: a stored config means by the default what it meant.
STABLE_DIFFUSION_PRESET: dict[str, dict[str, Any]] = {
    "screen": {"min_area": 0.1, "max_area": 0.5, "drop_uncertain": 0.1},
}
