"""The search for the setting with the best score. Knows nothing of datasets.

Settings are solved on the attention grid, where a cut takes milliseconds: first every combination of thresholds, tau,
alpha, objectness and a few lambda, then, around the best few, affinity_scale, geodesic_scale, k and lambda between. The
best few of those are solved as the build solves them, and of these the best is chosen. Nothing is random.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from models.errors import UserError
from models.tuning.score import Score, score_of
from models.tuning.trials import Setting, Trial

ALPHAS = (0.5, 1.0, 2.5)
LAMBDAS = (1.0, 3.0, 6.0, 12.0)
AFFINITIES: tuple[Any, ...] = ("range", 0.0)
GEODESICS = (5.0, 10.0, 20.0)
FACTORS = (0.7, 1.4)  # of lambda
AROUND, FINALISTS = 3, 4  # settings that are varied further, and that are solved as the build solves them
MIN_STEP, MIN_EXPLAINED, MAX_OUTSIDE = 1.5, 0.15, 0.5  # a setting scores well within these

OnStep = Callable[[int, int], None]  # settings scored, and how many there are to score


@dataclass(frozen=True)
class Found:
    """The best setting with its score, and the score of the setting that the search began with."""

    setting: Setting
    score: Score
    before: Score


def search(trials: Sequence[Trial], start: Setting, on_step: OnStep | None = None) -> Found:
    """The setting that scores best on the trials, at least one, `start` among them; the same each time.

    What is not searched stays as in `start`. UserError if no setting scores well.
    """
    cells, scores = [trial.on_cells() for trial in trials], dict[Setting, float]()

    def try_all(settings: list[Setting], later: int) -> None:
        new = [setting for setting in dict.fromkeys(settings) if setting not in scores and trials[0].can_solve(setting)]
        for i, setting in enumerate(new):
            scores[setting] = score_of(cells, setting.on_cells(trials[0])).value
            if on_step:
                on_step(len(scores), len(scores) + len(new) - 1 - i + later)

    try_all([start, *first_settings(start, trials[0])], later=AROUND * len(list(around(start, trials[0]))))
    for turn, setting in enumerate(best(scores, AROUND)):
        try_all(list(around(setting, trials[0])), later=(AROUND - 1 - turn) * len(list(around(start, trials[0]))))
    finals = {setting: score_of(trials, setting) for setting in dict.fromkeys([start, *best(scores, FINALISTS)])}
    found = max(finals, key=lambda setting: finals[setting].value)  # of equals the first, so `start`
    check(finals[found], len(trials))
    return Found(found, finals[found], finals[start])


def first_settings(start: Setting, trial: Trial) -> Iterator[Setting]:
    """Every combination of thresholds, tau, alpha, objectness and lambda, the rest as in `start`."""
    taus = [seeds for k, seeds in trial.refined if k == start.top_k and seeds != "adaptive"]
    for lambda_ in LAMBDAS:
        yield changed(start, thresholds="adaptive", lambda_=lambda_)
        yield changed(start, thresholds="paper", alpha=0.0, objectness="sum", lambda_=lambda_)
        for tau, alpha, objectness in product(taus, ALPHAS, ("sum", "mean")):
            yield changed(start, thresholds="paper", tau=tau, alpha=alpha, objectness=objectness, lambda_=lambda_)


def around(setting: Setting, trial: Trial) -> Iterator[Setting]:
    """The setting with other affinity_scale and geodesic_scale, with another lambda, or with another k."""
    for affinity_scale, geodesic_scale in product(AFFINITIES, GEODESICS):
        yield changed(setting, affinity_scale=affinity_scale, geodesic_scale=geodesic_scale)
    for factor in FACTORS:
        yield changed(setting, lambda_=setting.cut.lambda_ * factor)
    for k in trial.class_maps:
        yield replace(setting, top_k=k)


def changed(setting: Setting, **fields: Any) -> Setting:
    """The setting with other values of some fields of its cut."""
    return replace(setting, cut=setting.cut.model_copy(update=fields))


def best(scores: dict[Setting, float], count: int) -> list[Setting]:
    """The settings of the largest scores, best first; of equals, the one that was scored first."""
    return sorted(scores, key=lambda setting: -scores[setting])[:count]


def check(score: Score, count: int) -> None:
    """UserError if even the best setting does not score well: there is nothing to choose from."""
    if score.outside > MAX_OUTSIDE:
        why = f"{score.outside:.0%} of the masks cover less than 5 % or more than 70 % of the picture"
    elif score.explained < MIN_EXPLAINED:
        why = f"the masks explain {score.explained:.0%} of what varies in the attention, less than {MIN_EXPLAINED:.0%}"
    elif score.step < MIN_STEP:
        why = (
            f"colour changes {score.step:.2g} times as much at the outlines as elsewhere, less than {MIN_STEP:g} times"
        )
    else:
        return
    raise UserError(
        f"tune: no setting gives good masks of these {count} samples: under the best one, {why}; nothing is written: "
        "look at the images and the attention in the report, and change the prompts, the backbone or sampling.guidance"
    )
