"""Choices in layers: a YAML file, then the command line's options, then `--set name.name=value`; later ones win.

Gives plain dictionaries and readable complaints; knows nothing of what the fields mean.
"""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from models.config.base import overlaid
from models.errors import UserError

C = TypeVar("C", bound=BaseModel)


def resolve(kind: type[C], file: Path | None, options: dict[str, Any], assignments: list[str]) -> C:
    """Validate the layered choices as a `kind`; UserError with one line for each field that is wrong."""
    layers = [_read(file)] if file else []
    layers += [{k: v for k, v in options.items() if v is not None}, parse_overrides(assignments)]
    choices: dict[str, Any] = {}
    for layer in layers:
        choices = overlaid(choices, layer)
    try:
        return kind.model_validate(choices)
    except ValidationError as error:
        raise UserError(complaints(error)) from None


def parse_overrides(assignments: list[str]) -> dict[str, Any]:
    """The values of several assignments, `parse_assignment`'s; later ones win."""
    choices: dict[str, Any] = {}
    for assignment in assignments:
        choices = overlaid(choices, parse_assignment(assignment))
    return choices


def parse_assignment(text: str) -> dict[str, Any]:
    """'cut.alpha=1.0' -> {'cut': {'alpha': 1.0}}; the value is read as YAML."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not all(name.split(".")):
        raise UserError(f"--set {text}: expected name=value, as in --set cut.alpha=1.0")
    try:
        nested: Any = yaml.load(value, _Loader)
    except Exception as error:  # YAML's, and those of dates and numbers that cannot be, which it lets pass
        raise UserError(f"--set {text}: the value is not valid YAML ({error})".replace("\n", " ")) from None
    for part in reversed(name.split(".")):
        nested = {part: nested}
    return nested


class _Loader(yaml.SafeLoader):
    """YAML in which a key written twice is an error rather than the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := sorted({str(name) for name in names if names.count(name) > 1}):
            raise yaml.YAMLError(f"{', '.join(twice)}: written more than once")
        return super().construct_mapping(node, deep)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--config {file}: cannot be read: {error}") from None
    except Exception as error:  # as in parse_assignment
        raise UserError(f"--config {file}: is not valid YAML: {error}".replace("\n", " ")) from None
    if not isinstance(found, dict):
        raise UserError(f"--config {file}: expected a mapping of fields, found {type(found).__name__}")
    return found


def complaints(error: ValidationError) -> str:
    """What is wrong with each field, in one line."""
    return "; ".join(_complaint(e) for e in error.errors())


def _complaint(error: Any) -> str:
    """One line: the field by its dotted name, what is wrong, what came."""
    # Where a field may be of several kinds, pydantic appends the kind to its name.
    field = ".".join(str(part) for part in error["loc"] if str(part).isidentifier() or str(part).isdigit())
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        own = error["loc"][-1]
        return f"{field if str(own).isidentifier() else repr(own)}: no such field; check its spelling"
    if error["type"] == "model_type":
        return f"{field}: expected fields of its own, as in {field}.NAME=VALUE, got {error['input']!r}; change it"
    if error["type"] == "missing":
        return f"{field}: is required; give it as an option or in --config"
    if error["type"] == "value_error":
        return message
    expected = message[0].lower() + message[1:]
    for pydantics, ours in (("input should be ", ""), ("a valid tuple", "a list, as in [ball, star]")):
        expected = expected.replace(pydantics, ours)
    return f"{field}: expected {expected}, got {error['input']!r}; change it"
