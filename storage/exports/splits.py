"""Splits of samples: by seed, stratified by class, and of exact size, in whole numbers and fractions only.

A sample's place within its class follows from the seed and its index alone, on any machine.
"""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction

from models.errors import UserError

Counts = dict[str, int]  # by split


def split(
    indices: Sequence[int], categories: Sequence[str], shares: Mapping[str, Fraction], seed: int
) -> dict[str, list[int]]:
    """Indices of each split, ascending. Sizes are `apportion`'s of all samples; each class is shared out as evenly.

    indices: of the samples, any order; categories: the class of each; shares: above 0, sum to 1.
    UserError where a split would have no sample.
    """
    totals = apportion(len(indices), shares)
    if empty := [name for name, size in totals.items() if size == 0]:
        raise UserError(
            f"split: a share of {float(shares[empty[0]]):g} leaves {empty[0]} without any of the {len(indices)} "
            "samples; give it a larger one"
        )
    members: dict[str, list[int]] = {}
    for index, category in zip(indices, categories, strict=True):
        members.setdefault(category, []).append(index)
    counts = stratify({category: len(members[category]) for category in sorted(members)}, shares, totals)
    found: dict[str, list[int]] = {name: [] for name in shares}
    for category, of_class in counts.items():
        shuffled = sorted(members[category], key=lambda index: _draw(seed, index))
        for name, size in of_class.items():
            found[name] += shuffled[:size]
            del shuffled[:size]
    return {name: sorted(chosen) for name, chosen in found.items()}


def apportion(count: int, shares: Mapping[str, Fraction]) -> Counts:
    """`count` in whole parts by the method of largest remainders; of equal remainders the first named goes up."""
    exact = {name: count * share for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: count - sum(parts.values())]:
        parts[name] += 1
    return parts


def stratify(sizes: Counts, shares: Mapping[str, Fraction], totals: Counts) -> dict[str, Counts]:
    """How many of each class, of `sizes`, go to each split, so that the splits have the sizes `totals`.

    Each class is apportioned by itself; then, while a split is too large, one sample moves to one that is too small,
    in the class where the counts then depart least from their shares.
    """
    counts = {category: apportion(size, shares) for category, size in sizes.items()}
    excess = {name: sum(of_class[name] for of_class in counts.values()) - totals[name] for name in shares}
    while any(excess.values()):
        source, target = max(excess, key=lambda name: excess[name]), min(excess, key=lambda name: excess[name])
        having = [category for category in counts if counts[category][source]]

        def departure(category: str, source: str = source, target: str = target) -> Fraction:
            surplus = {name: counts[category][name] - sizes[category] * shares[name] for name in (source, target)}
            return max(1 + surplus[target], 1 - surplus[source])

        best = min(having, key=departure)
        counts[best][source] -= 1
        counts[best][target] += 1
        excess[source] -= 1
        excess[target] += 1
    return counts


def _draw(seed: int, index: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}:{index}".encode()).digest(), index
