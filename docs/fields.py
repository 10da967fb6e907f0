"""Tables of configurations' fields for the reference, as Markdown: default, allowed values, description.

All is read from the pydantic models, so the page cannot differ from what a command accepts. Knows nothing of mkdocs.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from models.config.backbone import POCKET, BackboneConfig
from models.config.base import FREE, PREDICTING, Config
from models.config.build import BuildConfig
from models.config.export import ExportConfig
from models.config.photos import MaskConfig
from models.config.statistics import StatisticsConfig
from models.config.training import TrainConfig
from models.pocket.config import PretrainConfig
from models.segmenters.registry import SEGMENTERS

CONFIGURATIONS: dict[str, type[Config]] = {
    "build": BuildConfig,
    "mask": MaskConfig,
    "train": TrainConfig,
    "export": ExportConfig,
    "statistics": StatisticsConfig,
    "pretrain": PretrainConfig,
    **SEGMENTERS,
}
REQUIRED = {"classes": ["ball"], "count": 1, "format": "coco", "segmenter": "any"}  # any valid value: never shown
UNLISTED = {"segmenter"}  # the command's argument
CHOOSING = {"backbone", "preset"}  # what a variant is given
ELSEWHERE = "Stable Diffusion"  # every backbone but pocket
HEAD = "| field | default | allowed | description |\n|---|---|---|---|"


def tables(name: str) -> str:
    """The tables of a configuration: its own fields first, then those of each section under a heading.

    A section that builds have too stands there alone; of a segmenter's fields, those that all segmenters have alike.
    """
    model = CONFIGURATIONS[name]
    values = {variant: flat(made.model_dump(mode="json", by_alias=True)) for variant, made in variants(model)}
    of_one_segmenter = issubclass(model, TrainConfig) and model is not TrainConfig
    parts = [_first(model.__doc__), _table(model, "", values, of_one_segmenter)]
    shown = set() if model is BuildConfig else {section for _, section in sections(BuildConfig)}
    for field, section in sections(model):
        if section not in shown:
            parts += [f"### `{field}` of {name}", linked(_first(section.__doc__)), _table(section, f"{field}.", values)]
    return "\n\n".join(parts)


def variants(model: type[Config]) -> Iterator[tuple[str, Config]]:
    """What a configuration becomes with each backbone and each of its presets, nothing else being given."""
    needed = {field: REQUIRED[field] for field, info in model.model_fields.items() if info.is_required()}
    has_backbone = issubclass(model, BackboneConfig)
    if not has_backbone:
        yield "", model.model_validate(needed)
    else:
        yield POCKET, model.model_validate(needed | {"backbone": POCKET})
        yield ELSEWHERE, model.model_validate(needed | {"backbone": "some/hub-id"})
    schema = model.model_json_schema()["properties"].get("preset", {})
    for preset in (value for value in _alternatives(schema) if "enum" in value or "const" in value):
        for choice in preset.get("enum", [preset.get("const")]):
            elsewhere = {"backbone": "some/hub-id"} if has_backbone else {}
            yield f"preset {choice}", model.model_validate(needed | elsewhere | {"preset": choice})


def sections(model: type[Config]) -> Iterator[tuple[str, type[Config]]]:
    """The fields that hold a configuration of their own."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Config):
            yield name, info.annotation


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'cut': {'tau': 0.7}} -> {'cut.tau': 0.7}."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def _table(model: type[Config], prefix: str, values: dict[str, dict[str, Any]], of_one_segmenter: bool = False) -> str:
    schema = model.model_json_schema(by_alias=True)
    nested = dict(sections(model))
    rows = []
    for name, info in model.model_fields.items():
        key = info.alias or name
        if name in nested or name in UNLISTED:
            continue
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        others = {} if info.is_required() or name in CHOOSING else _others(prefix + key, default, values)
        if of_one_segmenter and repr(TrainConfig.model_fields.get(name)) == repr(info) and not others:
            continue
        shown = "**required**" if info.is_required() else _code(default)
        shown += "".join(f"<br>{variant}: {_code(value)}" for variant, value in others.items())
        marks = "".join(f" *({told})*" for mark, told in MARKS.items() if mark in info.metadata)
        allowed = _allowed(schema["properties"][key], schema.get("$defs", {}))
        rows.append(f"| `{prefix}{key}` | {shown} | {allowed} | {_cell(linked(info.description or ''))}{marks} |")
    table = "\n".join([HEAD, *rows])
    return f'<div class="fields" markdown>\n\n{table}\n\n</div>'


def _others(key: str, default: Any, values: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The variants in which a field has another value than its default."""
    return {variant: each[key] for variant, each in values.items() if _json(each[key]) != _json(default)}


MARKS = {FREE: "may change when a run is resumed", PREDICTING: "may change for a prediction"}


def _allowed(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    """A JSON schema in words: 'integer, 1 to 4096', '`4` or `8`'."""
    return " or ".join(_one(alternative, defs) for alternative in _alternatives(schema))


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("anyOf", [schema])) if schema else []


def _one(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    if "$ref" in schema:
        properties = defs[schema["$ref"].rsplit("/", 1)[-1]]["properties"]
        return "{" + ", ".join(f"`{name}`" for name in properties) + "}"
    if "const" in schema:
        return _code(schema["const"])
    if "enum" in schema:
        return " or ".join(_code(value) for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(_one(item, defs) for item in schema["prefixItems"]) + "]"
        return f"list of {_one(schema.get('items', {}), defs)}"
    if kind == "object":
        return f"mapping to {_one(schema['additionalProperties'], defs)}"
    names = {"string": "text", "null": "`null`", "boolean": "`true` or `false`"}
    return names.get(kind, kind) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    ends = [f"≥ {_number(low)}"] if low is not None else [f"> {_number(above)}"] if above is not None else []
    ends += [f"≤ {_number(high)}"] if high is not None else [f"< {_number(below)}"] if below is not None else []
    if "maxLength" in schema:
        ends.append(f"at most {schema['maxLength']} characters")
    return f", {', '.join(ends)}" if ends else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _code(value: Any) -> str:
    if (isinstance(value, (list, tuple)) and not value) or value == {}:
        return "empty"
    return f"`{_json(value)}`"


def _json(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, BaseModel):
        return _json(value.model_dump(mode="json"))
    return f"{value:g}" if isinstance(value, float) else str(value)


def linked(text: str) -> str:
    """The pages that a text names, as links from the reference's folder."""
    return re.sub(r"\bdocs/([\w/-]+)\.md\b", r"[\1](../\1.md)", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _first(docstring: str | None) -> str:
    """A docstring's first paragraph."""
    return " ".join((docstring or "").split("\n\n")[0].split())
