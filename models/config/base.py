"""What all configurations have in common: strict fields, presets, older names, and which fields tell runs apart.

Imports no torch and knows nothing of any stage.
"""

import logging
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from models.errors import UserError
from models.mappings import overlaid

logger = logging.getLogger(__name__)
STORED = {"stored": True}  # validation context of values read from a stored file: no warning about older names in it
_warned: set[str] = set()


class Mark(Enum):
    """Why a field is not always compared, as in `Annotated[int, FREE]`.

    A resumed run does not compare fields marked FREE or PREDICTING.
    """

    FREE = "may change between two runs: lengths, machines, money"
    PREDICTING = "only predictions depend on it"
    PLACE = "may name a folder or a file, whose path changes when it is moved"


FREE, PREDICTING, PLACE = Mark.FREE, Mark.PREDICTING, Mark.PLACE


class Config(BaseModel):
    """Base of every stage's configuration: immutable, and a misspelt key or an infinite number is an error.

    renamed: older name of a field -> its name; an older name is accepted for one release, with one warning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Values that replace the defaults; later mappings override earlier ones, unknown fields are dropped."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, given: Any, info: ValidationInfo) -> Any:
        """Rename older names, lay `given` over the presets, and keep true and false from being read as numbers."""
        if not isinstance(given, dict):
            return given
        given = cls._by_alias(cls._with_todays_names(given, warn=not (info.context and info.context.get("stored"))))
        below: dict[str, Any] = {}
        for preset in cls.presets(given):
            below = overlaid(below, cls._known(preset))
        return cls._with_booleans_as_text(overlaid(below, given))

    @classmethod
    def _with_todays_names(cls, given: dict[str, Any], warn: bool) -> dict[str, Any]:
        old = {name: cls.renamed[name] for name in given if name in cls.renamed}
        for name, new in old.items():
            if new in given:
                raise UserError(f"{name}: is an older name of {new}, and both are given; remove {name}")
            if warn and name not in _warned:
                _warned.add(name)
                logger.warning("maskmill: %s is now called %s; the older name works for one more release", name, new)
        return {old.get(name, name): value for name, value in given.items()}

    @classmethod
    def _by_alias(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Name fields as presets do: `lambda_` is `lambda`. If both are given, pydantic says so."""
        fields = cls.model_fields.items()
        alias = {name: field.alias for name, field in fields if field.alias and field.alias not in given}
        return {alias.get(name, name): value for name, value in given.items()}

    @classmethod
    def _with_booleans_as_text(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Turn true into 'true' for fields that are not bool: pydantic would read it as 1, but refuses the text."""
        flags = {name for name, field in cls.model_fields.items() if field.annotation is bool}
        wrong = {name for name, value in given.items() if isinstance(value, bool)} - flags
        return given | {name: str(given[name]).lower() for name in wrong}

    @classmethod
    def _known(cls, preset: Mapping[str, Any]) -> dict[str, Any]:
        """The preset's values for fields that exist; the same within sections."""
        known = {}
        for name, field in cls.model_fields.items():
            value = preset.get(field.alias or name)
            section = isinstance(field.annotation, type) and issubclass(field.annotation, Config)
            if value is not None:
                known[field.alias or name] = field.annotation._known(value) if section else value  # type: ignore[union-attr]
        return known

    @classmethod
    def marked(cls, mark: Mark) -> frozenset[str]:
        """Names of the fields that have a mark, here or in a base class: a subclass may redefine a field without it."""
        bases = [base.model_fields for base in cls.__mro__ if issubclass(base, Config)]
        return frozenset(name for fields in bases for name, field in fields.items() if mark in field.metadata)

    def identity(self) -> dict[str, Any]:
        """The values that must be equal to resume a run, as JSON values: those not marked FREE or PREDICTING.

        Sections likewise.
        """
        compared = type(self).model_fields.keys() - self.marked(FREE) - self.marked(PREDICTING)
        dumped = self.model_dump(mode="json", by_alias=True, include=set(compared))
        sections = {name: value.identity() for name in compared if isinstance(value := getattr(self, name), Config)}
        return dumped | sections
