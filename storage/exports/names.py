"""Classes in files that cannot hold all: how many a label map has values for, and names made safe and kept apart.

Knows no format.
"""

from collections.abc import Callable, Sequence
from operator import ne

from models.errors import UserError
from storage.exports.plan import Plan

BACKGROUND = "background"  # the name of value 0 in label maps
MOST_CLASSES = 254  # values of a byte except 0, the background, and 255, which VOC and trainers ignore


def check_label_map(plan: Plan) -> None:
    """UserError for more classes than a label map has values for."""
    if len(plan.classes) > MOST_CLASSES:
        raise UserError(
            f"format {plan.format}: expected at most {MOST_CLASSES} classes, the dataset has {len(plan.classes)}; "
            "choose another format"
        )


def safe_names(names: Sequence[str], safe: Callable[[str], str]) -> tuple[str, ...]:
    """A name for each class: its own if `safe` leaves it as it is, else the safe one; all differ, none is background.

    Where two would be the same, the later one gets a number, as in 'ball (2)'; names that are safe come first.
    """
    kept = {name: name for name in names if safe(name) == name and name and name != BACKGROUND}
    taken = {BACKGROUND, *kept}
    for name in names:
        if name not in kept:
            kept[name] = _free(safe(name) or "class", taken)
            taken.add(kept[name])
    return tuple(kept[name] for name in names)


def changed(names: Sequence[str], safe: Sequence[str]) -> int:
    """How many names were made safe."""
    return sum(map(ne, names, safe))


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
