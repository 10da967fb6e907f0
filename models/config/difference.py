"""In which fields two configurations differ. Mappings in, dotted names out; knows no configuration."""

from collections.abc import Mapping
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any], absent: Any = None) -> dict[str, tuple[Any, Any]]:
    """The fields that differ by dotted name, in order, with both values; `absent` where one side has no such field."""
    sides = leaves(before), leaves(after)
    both = {name: (sides[0].get(name, absent), sides[1].get(name, absent)) for name in sides[0] | sides[1]}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings that are not mappings themselves, by dotted name."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
