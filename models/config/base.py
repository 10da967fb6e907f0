"""What all configurations have in common: strict fields, presets, older names, and which fields tell runs apart.

Imports no torch and knows nothing of any stage.
"""

import logging
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from models.errors import UserError

logger = logging.getLogger(__name__)
STORED = {"stored": True}  # validation context of values that a file keeps: older names in it are nobody's to change
_told: set[str] = set()


class Mark(Enum):
    """Why a field is not always compared, `Annotated[int, FREE]`: the first two never when a run is resumed."""

    FREE = "may change between two runs: lengths, machines, money"
    PREDICTING = "predictions alone depend on it"
    PLACE = "may name a folder or a file, which what is moved elsewhere finds elsewhere"


FREE, PREDICTING, PLACE = Mark.FREE, Mark.PREDICTING, Mark.PLACE


class Config(BaseModel):
    """Base of every stage's configuration: immutable, and a misspelt key or an infinite number is an error.

    renamed: older name of a field -> its name; an older name is accepted for one release, and said once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Values that go before the defaults, each laid over those before it; those of fields it lacks are dropped."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, given: Any, info: ValidationInfo) -> Any:
        """Older names under today's, then `given` over the presets; true is never a number."""
        if not isinstance(given, dict):
            return given
        given = cls._under_todays_names(given, told=bool(info.context and info.context.get("stored")))
        below: dict[str, Any] = {}
        for preset in cls.presets(given):
            below = overlaid(below, cls._known(preset))
        return cls._with_true_as_text(overlaid(below, given))

    @classmethod
    def _under_todays_names(cls, given: dict[str, Any], told: bool) -> dict[str, Any]:
        old = {name: cls.renamed[name] for name in given if name in cls.renamed}
        for name, new in old.items():
            if new in given:
                raise UserError(f"{name}: is an older name of {new}, and both are given; leave {name} out")
            if not (told or name in _told):
                _told.add(name)
                logger.warning("maskmill: %s is called %s now; the older name works for one release", name, new)
        return {old.get(name, name): value for name, value in given.items()}

    @classmethod
    def _with_true_as_text(cls, given: dict[str, Any]) -> dict[str, Any]:
        """pydantic would take true for 1; as the text that it was, it is refused with its field's name."""
        flags = {name for name, field in cls.model_fields.items() if field.annotation is bool}
        wrong = {name for name, value in given.items() if isinstance(value, bool)} - flags
        return given | {name: str(given[name]).lower() for name in wrong}

    @classmethod
    def _known(cls, preset: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a preset's values that there are fields for, sections likewise."""
        known = {}
        for name, field in cls.model_fields.items():
            value = preset.get(field.alias or name)
            section = isinstance(field.annotation, type) and issubclass(field.annotation, Config)
            if value is not None:
                known[field.alias or name] = field.annotation._known(value) if section else value  # type: ignore[union-attr]
        return known

    @classmethod
    def marked(cls, mark: Mark) -> frozenset[str]:
        """Names of the fields that have a mark."""
        return frozenset(name for name, field in cls.model_fields.items() if mark in field.metadata)

    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to be resumed, as JSON values: all fields without a mark, sections likewise."""
        compared = type(self).model_fields.keys() - self.marked(FREE) - self.marked(PREDICTING)
        dumped = self.model_dump(mode="json", by_alias=True, include=set(compared))
        sections = {name: value.identity() for name in compared if isinstance(value := getattr(self, name), Config)}
        return dumped | sections


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, nested mappings field by field."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = overlaid(result[key], value) if both else value
    return result
