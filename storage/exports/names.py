"""Class names for files that cannot hold every name: made safe, and kept apart. Knows no format."""

from collections.abc import Callable, Sequence

BACKGROUND = "background"  # the name of value 0 in label maps


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


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
