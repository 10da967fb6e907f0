"""Nested mappings: merged, flattened to dotted names, compared. Knows no configuration."""

from collections.abc import Mapping
from typing import Any


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` in place of its own; nested dictionaries are merged field by field."""
    result = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = overlaid(result[key], value) if nested else value
    return result


def differences(before: Mapping[str, Any], after: Mapping[str, Any], absent: Any = None) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> both values, of the fields that differ, in order; `absent` if one side lacks the field."""
    sides = leaves(before), leaves(after)
    both = {name: (sides[0].get(name, absent), sides[1].get(name, absent)) for name in sides[0] | sides[1]}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value, of all values of nested mappings that are not mappings themselves."""
    values: dict[str, Any] = {}
    for name, value in tree.items():
        values |= leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return values
