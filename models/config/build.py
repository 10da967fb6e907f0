"""The configuration of a build: it gives the form in Prefect, the schema of the YAML file and the options of the CLI.

Imports no torch and knows nothing of how a stage does its work. The paper's numbers are the defaults
(DiffusionSeg, arXiv 2303.09813); a backbone's preset may replace them (`BACKBONE_PRESETS`).
"""

from collections import Counter
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from models.classes.names import check_name, resolve_classes, same
from models.classes.scenes import GROUPS
from models.config.backbone import BackboneConfig
from models.config.base import FREE, STORED, Config
from models.config.cut import CutConfig
from models.config.overrides import complaints
from models.config.prompts import PromptConfig
from models.config.run import RunConfig
from models.config.sampling import SamplingConfig
from models.config.screening import ScreenConfig
from models.errors import UserError


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = tuple(check_name(" ".join(name.split())) for name in names or ("",))
    if repeated := sorted(name for name, times in Counter(map(same, cleaned)).items() if times > 1):
        raise UserError(f"classes: {', '.join(repeated)} named more than once; name each class once")
    return cleaned


def _templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    for template in templates:
        if "{category}" not in template:
            raise UserError(f"templates: the prompt {template!r} has no {{category}} in it; add it")
    return templates


def _or_a_boolean(schema: dict[str, Any]) -> None:
    """Let Prefect's form and deployments say `trial: false` too."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "boolean"}]


Templates = Annotated[tuple[str, ...], AfterValidator(_templates)]
ClassNames = Annotated[tuple[str, ...], AfterValidator(_class_names)]


class TrialConfig(Config):
    """The first samples, whose masks are judged before the rest is sampled; `trial: false` builds without."""

    samples: int = Field(32, ge=0, description="number of samples of the trial; 0 builds without a trial")
    max_share: float = Field(
        0.2, ge=0, le=1, description="largest share of them whose mask may be smaller or larger than these two"
    )
    min_area: float = Field(0.05, ge=0, le=1, description="share of the image that a mask covers at least")
    max_area: float = Field(0.7, ge=0, le=1, description="share of the image that a mask covers at most")

    @model_validator(mode="before")
    @classmethod
    def _read_a_boolean(cls, given: Any) -> Any:
        if given in (False, "false"):
            return {"samples": 0}
        return {} if given in (True, "true") else given

    @model_validator(mode="after")
    def _areas_are_in_order(self) -> Self:
        if self.min_area > self.max_area:
            raise UserError(
                f"trial.min_area: expected at most trial.max_area, {self.max_area:g}, got {self.min_area:g}; change one"
            )
        return self


class BuildConfig(BackboneConfig):
    """Everything that determines a dataset."""

    classes: ClassNames = Field(
        description="names of the object classes; `imagenet-merged` or a .txt file stands for the names it lists"
    )
    phrases: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="words that prompts use for a class, if not just its name"
    )
    groups: dict[str, str] = Field(
        default_factory=dict, description="group whose scenes suit a class: animal, vehicle, food ..."
    )
    count: Annotated[int, FREE] = Field(ge=1, description="planned number of samples, kept or rejected")
    seed: int = Field(
        0, ge=0, lt=2**32, description="dataset seed: with a sample's index it fixes class, prompt and noise"
    )
    shard_size: int = Field(
        64, ge=1, le=4096, description="consecutive samples that are processed, retried and committed together"
    )
    templates: Templates = Field((), description="your prompts in place of the grammar's, each with {category} in it")
    prompts: PromptConfig = Field(default_factory=PromptConfig, description="who writes the prompts")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig, description="sampling and capture")
    cut: CutConfig = Field(default_factory=CutConfig, description="AttentionCut")
    tuned: Annotated[bool, FREE] = Field(
        False, description="whether `maskmill tune` chose the cut for this dataset, which then needs no trial"
    )
    screen: ScreenConfig = Field(default_factory=ScreenConfig, description="screening")
    trial: Annotated[TrialConfig, FREE] = Field(
        default_factory=TrialConfig,
        description="the first samples, judged before the rest",
        json_schema_extra=_or_a_boolean,
    )
    run: Annotated[RunConfig, FREE] = Field(default_factory=RunConfig, description="use of the machine")

    @model_validator(mode="before")
    @classmethod
    def _spell_classes_out(cls, given: Any, info: ValidationInfo) -> Any:
        """Replace a file or `imagenet-merged` by the class names: a stored config has neither, and is not searched."""
        is_stored = bool(info.context and info.context.get("stored"))
        return resolve_classes(given) if isinstance(given, dict) and not is_stored else given

    @model_validator(mode="after")
    def _every_phrase_names_one_class(self) -> Self:
        for field in ("phrases", "groups"):
            if unknown_classes := sorted(set(getattr(self, field)) - set(self.classes)):
                raise UserError(f"{field}: {unknown_classes[0]!r} is not one of the classes; check its spelling")
        if unknown := sorted(set(self.groups.values()) - GROUPS.keys()):
            raise UserError(f"groups: expected one of {', '.join(GROUPS)}, got {unknown[0]!r}; change it")
        owner: dict[str, str] = {}
        for name in self.classes:
            for phrase in self.phrases_of(name):
                check_name(" ".join(phrase.split()), "phrases")
                if owner.setdefault(same(phrase), name) != name:
                    raise UserError(f"phrases: {phrase!r} names both {owner[same(phrase)]} and {name}; choose one")
        return self

    @model_validator(mode="after")
    def _prompts_have_one_author(self) -> Self:
        if self.templates and self.prompts.model is not None:
            raise UserError("templates: prompts.model would have nothing to write; give templates or prompts.model")
        return self

    def phrases_of(self, category: str) -> tuple[str, ...]:
        """The words that prompts may use for a class."""
        return self.phrases.get(category) or (category,)

    @classmethod
    def of_stored(cls, stored: dict[str, Any]) -> "BuildConfig":
        """The config that a dataset stores. Fields added since then get their defaults, not a preset's values.

        UserError if this version of maskmill lacks one of its fields or has narrower bounds.
        """
        stored = {"trial": False} | stored  # an older dataset was begun without one
        types = {name: field.annotation for name, field in cls.model_fields.items()}
        try:
            sections = {
                name: section.model_validate(stored[name], context=STORED)
                for name, section in types.items()
                if isinstance(section, type) and issubclass(section, Config) and name in stored
            }
            return cls.model_validate(stored | sections, context=STORED)
        except ValidationError as error:
            raise UserError(
                f"the dataset's stored config is not valid in this version of maskmill ({complaints(error)}); use the "
                "version that built it, or a later one"
            ) from None
