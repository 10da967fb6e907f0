"""The fields that a person tunes by hand: the values to offer for each, and a setting from chosen values.

Knows nothing of how they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.config.cut import FIXED, CutConfig
from models.config.overrides import resolve
from models.errors import UserError
from models.tuning.trials import Setting, Trial

Value = float | str
ALPHAS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)
LAMBDAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 40.0)
AFFINITY_SCALES = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
GEODESIC_SCALES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 30.0, 40.0, 60.0)
NAMES = ("thresholds", "tau", "alpha", "objectness", "lambda", "affinity_scale", "geodesic_scale", "top_k")
ONE_SEED_SET = "this dataset, built by an older version, stores r(p) for these seeds only"
ONE_K = "another k needs a dataset built with sampling.keep_pooled=true"


@dataclass(frozen=True)
class TunedField:
    """A field, the values to offer for it in order, the one it has, and why no other can be taken ('' if one can)."""

    name: str
    values: tuple[Value, ...]
    value: Value
    reason: str = ""
    is_of_paper: bool = False  # whether it counts only under the paper's thresholds


def fields_of(setting: Setting, trial: Trial) -> list[TunedField]:
    """The fields of a dataset whose masks were solved under `setting`, by the evidence of one of its samples."""
    cut, seeds = setting.cut, [seeds for k, seeds in trial.refined if k == setting.top_k]
    taus = [each for each in seeds if each != "adaptive"]
    has_paper, has_adaptive = bool(taus), "adaptive" in seeds
    choices = (["adaptive"] if has_adaptive else []) + (["paper"] if has_paper else [])

    def field(name: str, values: tuple[Value, ...], value: Value, reason: str = "") -> TunedField:
        numbers = sorted({each for each in (*values, value) if not isinstance(each, str)})
        words = [each for each in dict.fromkeys((*values, value)) if isinstance(each, str)]
        return TunedField(
            name, (*words, *numbers), value, reason if len(words) + len(numbers) < 2 else "", name in FIXED
        )

    return [
        field("thresholds", tuple(choices), cut.thresholds, ONE_SEED_SET),
        field("tau", tuple(taus), cut.tau if cut.tau in taus or not taus else taus[0], ONE_SEED_SET),
        field("alpha", ALPHAS, cut.alpha),
        field("objectness", ("sum", "mean"), cut.objectness),
        field("lambda", LAMBDAS, cut.lambda_),
        field("affinity_scale", ("range", *AFFINITY_SCALES), cut.affinity_scale),
        field("geodesic_scale", GEODESIC_SCALES, cut.geodesic_scale),
        field("top_k", tuple(trial.class_maps), setting.top_k, ONE_K),
    ]


def setting_from(start: Setting, values: Mapping[str, Any], trial: Trial) -> Setting:
    """`start` with other values; UserError if one is not valid or the trial's evidence does not suffice.

    Under adaptive thresholds tau, alpha and objectness stay as they are, because the cut does not use them.
    """
    if unknown := sorted(values.keys() - set(NAMES)):
        raise UserError(f"{', '.join(unknown)[:100]}: expected fields among {', '.join(NAMES)}")
    stored = start.cut.model_dump(mode="json", by_alias=True)
    given = {name: value for name, value in values.items() if name != "top_k"}
    if given.get("thresholds", stored["thresholds"]) == "adaptive":
        given = {name: value for name, value in given.items() if name not in FIXED}
    cut = resolve(CutConfig, None, stored | given, [])
    top_k = values.get("top_k", start.top_k)
    if type(top_k) is not int or top_k not in trial.class_maps:
        raise UserError(f"top_k: expected one of {', '.join(map(str, trial.class_maps))}, got {top_k!r:.40}; {ONE_K}")
    setting = replace(start, cut=cut, top_k=top_k)
    if not trial.can_solve(setting):
        stored_sets = ", ".join(str(seeds) for k, seeds in trial.refined if k == top_k)
        raise UserError(f"tau: expected one of {stored_sets}, whose r(p) is stored, got {cut.seed_set}")
    return setting
