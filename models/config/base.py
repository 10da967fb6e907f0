"""What all configurations have in common. Imports no torch and knows nothing of any stage."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Config(BaseModel):
    """Base of every stage's configuration: immutable, and a misspelt key or an infinite number is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, given: Any) -> Any:
        """pydantic would take true for 1; as the text that it was, it is refused with its field's name."""
        if not isinstance(given, dict):
            return given
        flags = {name for name, field in cls.model_fields.items() if field.annotation is bool}
        wrong = {name for name, value in given.items() if isinstance(value, bool)} - flags
        return given | {name: str(given[name]).lower() for name in wrong}
