"""Splits of samples: seeded, stratified by class and of exact size; computed in integers and fractions only.

A sample's rank within its class depends only on the seed and its index, on any machine.
"""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction

from models.errors import UserError

Counts = dict[str, int]  # by split


def split(
    indices: Sequence[int], categories: Sequence[str], shares: Mapping[str, Fraction], seed: int
) -> dict[str, list[int]]:
    """Indices of each split, ascending. `apportion` gives the splits' sizes, `stratify` the counts of each class.

    indices: of the samples, in any order; categories: the class of each; shares: above 0, with sum 1.
    UserError if a split would have no sample.
    """
    totals = apportion(len(indices), shares)
    if empty := [name for name, size in totals.items() if size == 0]:
        raise UserError(
            f"split: a share of {float(shares[empty[0]]):g} leaves {empty[0]} without any of the {len(indices)} "
            "samples; give it a larger share"
        )
    by_class: dict[str, list[int]] = {}
    for index, category in zip(indices, categories, strict=True):
        by_class.setdefault(category, []).append(index)
    counts = stratify({category: len(by_class[category]) for category in sorted(by_class)}, shares, totals)
    chosen: dict[str, list[int]] = {name: [] for name in shares}
    for category, of_class in counts.items():
        shuffled = sorted(by_class[category], key=lambda index: _draw(seed, index))
        for name, size in of_class.items():
            chosen[name] += shuffled[:size]
            del shuffled[:size]
    return {name: sorted(members) for name, members in chosen.items()}


def apportion(count: int, shares: Mapping[str, Fraction]) -> Counts:
    """`count` in whole parts by the method of largest remainders; on a tie the first named is rounded up."""
    exact = {name: count * share for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: count - sum(parts.values())]:
        parts[name] += 1
    return parts


def stratify(sizes: Counts, shares: Mapping[str, Fraction], totals: Counts) -> dict[str, Counts]:
    """Number of samples of each class in each split. sizes: of the classes; totals: of the splits.

    Each class is apportioned separately. Then, while a split is too large, one sample moves to a split that is too
    small, in the class whose counts then differ least from their shares.
    """
    counts = {category: apportion(size, shares) for category, size in sizes.items()}
    excess = {name: sum(of_class[name] for of_class in counts.values()) - totals[name] for name in shares}
    while any(excess.values()):
        source, target = max(excess, key=lambda name: excess[name]), min(excess, key=lambda name: excess[name])
        candidates = [category for category in counts if counts[category][source]]

        def departure(category: str, source: str = source, target: str = target) -> Fraction:
            surplus = {name: counts[category][name] - sizes[category] * shares[name] for name in (source, target)}
            return max(1 + surplus[target], 1 - surplus[source])

        best = min(candidates, key=departure)
        counts[best][source] -= 1
        counts[best][target] += 1
        excess[source] -= 1
        excess[target] += 1
    return counts


def _draw(seed: int, index: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}:{index}".encode()).digest(), index
