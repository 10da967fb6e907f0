"""The rules by which a sample is kept or rejected: a table, a row each.

The columns that screening stores, what older samples are scored for again and the order of the reasons follow from it:
a rule is added by adding its row, and to models/config/screening.py what a user may set of it. Knows no dataset.

Letters: n samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from models.config.screening import ScreenConfig
from models.cut.masks import border_of, num_components_of
from models.screening.sample import entropy_of, recognised

Columns = Mapping[str, np.ndarray]  # of the table by name, (n,) each
EMBEDDING = "embedding"  # CLIP's, (n, D): a column that lies beside the table, as its width is the model's


@dataclass(frozen=True)
class Score:
    """A column that screening fills.

    of: the score of one sample, from what the dataset stores of it under the names in `reads`; None for CLIP's
    confidence, which tasks/screening.py asks a network for. dtype: floating, NaN where unwritten; or an integer, 0
    where unwritten, and whatever scores 0 is scored anew now and then.
    """

    reads: tuple[str, ...] = ()
    of: Callable[..., float] | None = None
    dtype: str = "f4"


@dataclass(frozen=True)
class Rule:
    """One reason to reject a sample.

    reads: the columns it looks at. passes: (n,) bool from those, the config, and the number of names that CLIP tells
    apart; None where samples are compared with one another, which models/screening/dataset.py does. A score that is NaN
    must not pass. active: whether the config asks for it. scores: those of the columns that screening measures for it.
    """

    reads: tuple[str, ...]
    passes: Callable[[Columns, ScreenConfig, int], np.ndarray] | None
    active: Callable[[ScreenConfig], bool] = lambda config: True
    scores: Mapping[str, Score] = field(default_factory=dict)


WRONG_CLASS, DUPLICATE_PROMPT, DUPLICATE_IMAGE = "wrong class", "duplicate prompt", "duplicate image"
MOST_UNCERTAIN = "most uncertain"

# Reason -> rule; the first that a sample fails is its reason.
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
    """The first rule that each sample fails by itself, "" where it passes them all: (n,) str.

    columns: what the active rules read, (n,) each; area in [0, 1] of the image, clip_score the class's confidence
    among num_names. A score that is NaN fails its rule.
    """
    active = {reason: rule for reason, rule in RULES.items() if rule.passes and rule.active(config)}
    failed = [~rule.passes(columns, config, num_names) for rule in active.values() if rule.passes]
    return np.select(failed, list(active), default="")


def scores() -> dict[str, Score]:
    """Every column of the table that screening fills, for rules that are active and others alike."""
    return {name: score for rule in RULES.values() for name, score in rule.scores.items()}


def columns_read(config: ScreenConfig) -> list[str]:
    """The columns that the active rules read, each once."""
    return list(dict.fromkeys(name for rule in RULES.values() if rule.active(config) for name in rule.reads))


def columns_scored(config: ScreenConfig) -> list[str]:
    """Those of them that screening fills: a sample that lacks one has to be scored again."""
    return [name for name in columns_read(config) if name in scores() or name == EMBEDDING]
