"""ImageNet's 1,000 labels merged into categories, as DiffusionSeg does (section 3.2.1): poodle and Chihuahua are dogs.

The paper's list is not published; this is ours. `imagenet.tsv` has a row for each class index: its name in open_clip's
metadata (two names repeat) and its category. `categories.tsv` has a row for each category: the group whose scenes suit
it, the phrases that prompts use for it, and whether it is common, that is one of those among which a photograph's class
is chosen (models/clip/categories.py). Imports no torch.
"""

import csv
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def labels() -> tuple[tuple[str, str], ...]:
    """(name, category) of each of the 1,000 classes, by index."""
    return tuple((row["name"], row["category"]) for row in _rows("imagenet.tsv"))


@cache
def common_categories() -> tuple[str, ...]:
    """The categories that photographs commonly show."""
    return tuple(row["category"] for row in _rows("categories.tsv") if row["common"] == "yes")


@cache
def categories() -> frozenset[str]:
    """All categories, with those that have no class of ImageNet."""
    return frozenset(row["category"] for row in _rows("categories.tsv"))


def merged() -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Phrases and group of each category that has a class of ImageNet, ordered by its first class's index."""
    rows = {row["category"]: row for row in _rows("categories.tsv")}
    names = list(dict.fromkeys(category for _, category in labels()))
    phrases = {name: tuple(rows[name]["phrases"].split(", ")) for name in names}
    return phrases, {name: rows[name]["group"] for name in names}


def _rows(file: str) -> list[dict[str, str]]:
    with open(FOLDER / file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
