"""The search for the setting with the best score. Knows nothing of datasets.

Settings are solved on the attention grid, where a cut takes milliseconds: first every combination of thresholds, tau,
alpha, objectness and a few lambda, then, around the best few, affinity_scale, geodesic_scale, k and lambda between.
Those that score about as well as the best one are solved as the build solves them, at full size, and the best of
these is chosen. Nothing is random.
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
AROUND, FINALISTS = 3, 6  # settings that are varied further, and that are solved at full size at most
PREFERENCE = 1.25  # fixed thresholds have to score better by this factor to be chosen before adaptive ones
ABOUT = 0.98  # the share of the best setting's score from which another is about as good
# On the cells, simulated attention scores 1.0 and more, with a step of 2.9 and more; where it shows no object, or that
# of another picture, one of the two is less than these (docs/decisions/tuning.md).
MIN_SCORE, MIN_STEP = 0.8, 1.5

OnStep = Callable[[int, int], None]  # settings scored, and how many there are to score


@dataclass(frozen=True)
class Found:
    """The chosen setting with its score, and the score of the setting that the search began with, at full size."""

    setting: Setting
    score: Score
    before: Score


def search(trials: Sequence[Trial], start: Setting, on_step: OnStep | None = None) -> Found:
    """The setting to choose by the trials, at least one; the same each time.

    What is not searched stays as in `start`, which stays whole if no other is clearly better. UserError if no setting
    scores well.
    """
    cells, scores = [trial.on_cells() for trial in trials], dict[Setting, Score]()

    def try_all(settings: list[Setting], later: int) -> None:
        new = [setting for setting in dict.fromkeys(settings) if setting not in scores and trials[0].can_solve(setting)]
        for i, setting in enumerate(new):
            scores[setting] = score_of(cells, setting.on_cells(trials[0]))
            if on_step:
                on_step(len(scores), len(scores) + len(new) - 1 - i + later)

    more = len(list(around(start, trials[0])))
    try_all([start, *first_settings(start, trials[0])], later=AROUND * more)
    for turn, setting in enumerate(best(scores, AROUND)):
        try_all(list(around(setting, trials[0])), later=(AROUND - 1 - turn) * more)
    check(scores[best(scores, 1)[0]], len(trials))
    return _of_the_finalists(trials, start, finalists(scores, start))


def finalists(scores: dict[Setting, Score], start: Setting) -> list[Setting]:
    """The settings whose masks on the cells are about as good as the best one's; `start` first if it is among them."""
    top = best(scores, FINALISTS)
    bar = ABOUT * weighed(scores, top[0])
    close = [setting for setting in top if weighed(scores, setting) >= bar]
    return list(dict.fromkeys([start, *close])) if weighed(scores, start) >= bar else close


def _of_the_finalists(trials: Sequence[Trial], start: Setting, close: list[Setting]) -> Found:
    """That with the best score at full size; or `start`, if it is about as good."""
    full = {setting: score_of(trials, setting) for setting in dict.fromkeys([start, *close])}
    found = max(close, key=lambda setting: weighed(full, setting))  # of equals, the better one on the cells
    if start in close and weighed(full, start) >= ABOUT * weighed(full, found):
        found = start
    return Found(found, full[found], full[start])


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


def best(scores: dict[Setting, Score], count: int) -> list[Setting]:
    """The settings of the largest `weighed` scores, best first; of equals, the one that was scored first."""
    return sorted(scores, key=lambda setting: -weighed(scores, setting))[:count]


def weighed(scores: dict[Setting, Score], setting: Setting) -> float:
    """The score of a setting; adaptive thresholds, which suit images that are not judged too, have PREFERENCE more."""
    return scores[setting].value * (PREFERENCE if setting.cut.thresholds == "adaptive" else 1)


def check(score: Score, count: int) -> None:
    """UserError if even the best setting, on the cells, does not score well: there is nothing to choose from."""
    if score.value >= MIN_SCORE and score.step >= MIN_STEP:
        return
    raise UserError(
        f"tune: no setting gives good masks of these {count} samples: the best scores {score.value:.2f}, of at least "
        f"{MIN_SCORE:g}; colour changes {score.step:.1f} times as much at its outlines as elsewhere, of at least "
        f"{MIN_STEP:g}; its masks explain {score.explained:.0%} of the attention's variance, and {score.outside:.0%} "
        "cover less than 5 % or more than 70 %; nothing is written: look at A_c and r in the report, and change the "
        "prompts or the backbone"
    )
