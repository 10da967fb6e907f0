"""A configuration from layers: a YAML file, then the CLI's options, then `--set name.name=value`; later ones win.

Returns plain dictionaries and readable errors; knows nothing of what the fields mean.
"""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from models.errors import UserError
from models.mappings import overlaid

C = TypeVar("C", bound=BaseModel)


def resolve(config_type: type[C], file: Path | None, options: dict[str, Any], assignments: list[str]) -> C:
    """Validate the merged layers as a `config_type`; UserError that names each invalid field."""
    layers = [_read(file)] if file else []
    layers += [{k: v for k, v in options.items() if v is not None}, parse_overrides(assignments)]
    values: dict[str, Any] = {}
    for layer in layers:
        values = overlaid(values, layer)
    try:
        return config_type.model_validate(values)
    except ValidationError as error:
        raise UserError(complaints(error)) from None


def parse_overrides(assignments: list[str]) -> dict[str, Any]:
    """The merged values of several assignments, each as in `parse_assignment`; later ones win."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        overrides = overlaid(overrides, parse_assignment(assignment))
    return overrides


def parse_assignment(text: str) -> dict[str, Any]:
    """'cut.alpha=1.0' -> {'cut': {'alpha': 1.0}}; the value is read as YAML."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not all(name.split(".")):
        raise UserError(f"--set {text}: expected name=value, as in --set cut.alpha=1.0")
    try:
        nested: Any = yaml.load(value, _Loader)
    except Exception as error:  # YAMLError, and errors of impossible dates and numbers, which PyYAML does not convert
        raise UserError(f"--set {text}: the value is not valid YAML ({error})".replace("\n", " ")) from None
    for part in reversed(name.split(".")):
        nested = {part: nested}
    return nested


class _Loader(yaml.SafeLoader):
    """YAML in which a repeated key is an error; PyYAML keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if repeated := sorted({str(name) for name in names if names.count(name) > 1}):
            raise yaml.YAMLError(f"{', '.join(repeated)}: written more than once")
        return super().construct_mapping(node, deep)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--config {file}: cannot be read: {error}") from None
    except Exception as error:  # as in parse_assignment
        raise UserError(f"--config {file}: is not valid YAML: {error}".replace("\n", " ")) from None
    if not isinstance(content, dict):
        raise UserError(f"--config {file}: expected a mapping of fields, got {type(content).__name__}")
    return content


def complaints(error: ValidationError) -> str:
    """One line that names each invalid field and what is wrong with it."""
    return "; ".join(_complaint(e) for e in error.errors())


def _complaint(error: Any) -> str:
    """One line: the field's dotted name, what was expected, what came."""
    # If a field allows several types, pydantic appends the type to its name.
    field = ".".join(str(part) for part in error["loc"] if str(part).isidentifier() or str(part).isdigit())
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        name = error["loc"][-1]
        return f"{field if str(name).isidentifier() else repr(name)}: no such field; check its spelling"
    if error["type"] == "model_type":
        return f"{field}: expected a section with fields, as in {field}.NAME=VALUE, got {error['input']!r}; change it"
    if error["type"] == "missing":
        return f"{field}: is required; give it as an option or in --config"
    if error["type"] == "value_error":
        return message
    expected = message[0].lower() + message[1:]
    for old, new in (("input should be ", ""), ("a valid tuple", "a list, as in [ball, star]")):
        expected = expected.replace(old, new)
    return f"{field}: expected {expected}, got {error['input']!r}; change it"
