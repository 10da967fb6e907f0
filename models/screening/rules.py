"""The rules by which a sample is kept or rejected: a table with one row per rule.

It determines the columns that screening stores, the samples that are scored again, and the order of the reasons. To add
a rule, add its row, and its parameters to models/config/screening.py. Knows no dataset.

Letters: n samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from models.config.screening import ScreenConfig
from models.cut.masks import border_of, num_components_of
from models.screening.sample import entropy_of, recognised

Columns = Mapping[str, np.ndarray]  # columns of the table by name, (n,) each
EMBEDDING = "embedding"  # CLIP's embeddings, (n, D), stored beside the table because D depends on the model


@dataclass(frozen=True)
class Score:
    """A column that screening fills.

    of: computes one sample's score from the stored arrays named in `reads`; None for CLIP's confidence, which
    tasks/screening.py computes with a network. dtype: a float, NaN if not yet written; or an integer, 0 if not yet
    written, so that samples with score 0 are sometimes scored again.
    """

    reads: tuple[str, ...] = ()
    of: Callable[..., float] | None = None
    dtype: str = "f4"


@dataclass(frozen=True)
class Rule:
    """One reason to reject a sample.

    reads: the columns that it uses. passes: (n,) bool from those, the config, and the number of names that CLIP chooses
    among; None if samples are compared with one another, which models/screening/dataset.py does. A score that is NaN
    must not pass. active: whether the config enables it. scores: the columns that screening computes for it.
    """

    reads: tuple[str, ...]
    passes: Callable[[Columns, ScreenConfig, int], np.ndarray] | None
    active: Callable[[ScreenConfig], bool] = lambda config: True
    scores: Mapping[str, Score] = field(default_factory=dict)


WRONG_CLASS, DUPLICATE_PROMPT, DUPLICATE_IMAGE = "wrong class", "duplicate prompt", "duplicate image"
MOST_UNCERTAIN = "most uncertain"

# Reason -> rule; the first rule that a sample fails gives its reason. Of the rules for single samples CLIP's is always
# applied last, because samples that fail only that one may still be kept (`clip_top_up`).
RULES: dict[str, Rule] = {
    "empty": Rule(("area",), lambda of, config, num_names: of["area"] > 0),
    "too small": Rule(("area",), lambda of, config, num_names: of["area"] >= config.min_area),
    "too large": Rule(("area",), lambda of, config, num_names: of["area"] <= config.max_area),
    "at the border": Rule(
        ("border",),
        lambda of, config, num_names: of["border"] <= config.max_border,
        lambda config: config.max_border is not None,
        {"border": Score(("mask",), border_of)},
    ),
    "in pieces": Rule(
        ("num_components",),
        lambda of, config, num_names: (of["num_components"] > 0) & (of["num_components"] <= config.max_components),
        lambda config: config.max_components is not None,
        {"num_components": Score(("mask",), num_components_of, "i4")},
    ),
    "uncertain": Rule(("uncertainty",), lambda of, config, num_names: of["uncertainty"] <= config.max_uncertainty),
    WRONG_CLASS: Rule(
        ("clip_score",),
        lambda of, config, num_names: recognised(of["clip_score"], config, num_names),
        lambda config: config.clip != "none",
        {"clip_score": Score()},
    ),
    DUPLICATE_PROMPT: Rule(("category", "prompt"), None, lambda config: config.duplicate_prompt is not None),
    DUPLICATE_IMAGE: Rule(("category", EMBEDDING), None, lambda config: config.duplicate_image is not None),
    MOST_UNCERTAIN: Rule(
        ("entropy",),
        None,
        lambda config: config.drop_uncertain > 0,
        {"entropy": Score(("objectness",), entropy_of)},
    ),
}


def reasons(columns: Columns, config: ScreenConfig, num_names: int) -> np.ndarray:
    """The first rule for single samples that each sample fails, "" if it passes them all: (n,) str.

    columns: those that the active rules read, (n,) each; area in [0, 1] of the image, clip_score the class's confidence
    among num_names. A score that is NaN fails its rule.
    """
    active = {reason: rule.passes for reason, rule in RULES.items() if rule.passes and rule.active(config)}
    if WRONG_CLASS in active:
        active[WRONG_CLASS] = active.pop(WRONG_CLASS)  # last
    failed = [~passes(columns, config, num_names) for passes in active.values()]
    return np.select(failed, list(active), default="")


def scores() -> dict[str, Score]:
    """All columns of the table that screening fills, for active and inactive rules."""
    return {name: score for rule in RULES.values() for name, score in rule.scores.items()}


def columns_read(config: ScreenConfig) -> list[str]:
    """The columns that the active rules read, each once."""
    return list(dict.fromkeys(name for rule in RULES.values() if rule.active(config) for name in rule.reads))


def columns_scored(config: ScreenConfig) -> list[str]:
    """The columns that the active rules read and screening fills: a sample that lacks one must be scored again."""
    return [name for name in columns_read(config) if name in scores() or name == EMBEDDING]
