"""The search finds a good setting without truth, the same each time, and says so where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from models.cut.seeds import SEED_SETS, normalise
from models.errors import UserError
from models.tuning.score import colour_step, explained_share, judged, score_of
from models.tuning.search import Found, around, changed, first_settings, search
from models.tuning.trials import Setting, Trial, of_sets, solve
from tests.models.tuning.worlds import PAPER, SIDE, large, trial_of, truth_of

COUNT = 6


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def mean_iou(trials: list[Trial], setting: Setting) -> float:
    return float(np.mean([iou(solve(trial, setting).mask, large(truth_of(i))) for i, trial in enumerate(trials)]))


@pytest.fixture(scope="module", params=[0.0, 0.2, 0.5])
def tuned(request) -> tuple[list[Trial], Found]:
    trials = [trial_of(i, ground=request.param) for i in range(COUNT)]
    return trials, search(trials, PAPER)


def test_it_finds_nearly_the_best_setting_from_the_papers_numbers(tuned):
    trials, found = tuned
    possible = max(mean_iou(trials, setting) for setting in first_settings(PAPER, trials[0]))
    assert mean_iou(trials, found.setting) >= 0.95 * possible > 0.8
    assert found.score.value >= found.before.value and found.score.outside == 0


def test_it_is_the_same_each_time_and_stays_where_it_is(tuned):
    trials, found = tuned
    assert search(trials, PAPER) == found
    again = search(trials, found.setting)
    assert again.setting == found.setting and again.before == again.score == found.score


def test_only_what_is_searched_changes(tuned):
    _, found = tuned
    names = ("thresholds", "tau", "alpha", "objectness", "lambda_", "affinity_scale", "geodesic_scale")
    same = {name: getattr(PAPER.cut, name) for name in names}
    assert found.setting.cut.model_copy(update=same) == PAPER.cut and found.setting.top_k == PAPER.top_k


def test_without_other_seeds_tau_stays_and_without_layers_k_stays():
    trial = trial_of(0)
    evidence = trial.evidence(PAPER)
    alone = of_sets(trial.image, evidence, PAPER)
    settings = [*first_settings(PAPER, alone), *around(PAPER, alone)]
    assert {s.cut.seed_set for s in settings if alone.can_solve(s)} == {PAPER.cut.tau}
    assert {s.top_k for s in settings} == {PAPER.top_k}
    found = search([alone] * 2, PAPER)
    assert found.setting.cut.seed_set == PAPER.cut.tau
    three = trial_of(0, ks=(1, 3))
    assert {s.top_k for s in around(PAPER, three)} == {1, 2, 3}
    assert {s.cut.seed_set for s in first_settings(PAPER, three)} == set(SEED_SETS)


@pytest.mark.parametrize("kind", ["one colour", "another picture", "no attention"])
def test_where_no_setting_scores_well_it_says_so(kind):
    if kind == "one colour":
        trials = [trial_of(i, image=np.full((64, 64, 3), 90, np.uint8)) for i in range(COUNT)]
    elif kind == "another picture":
        noise = [np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8) for i in range(COUNT)]
        trials = [trial_of(i, image=noise[i]) for i in range(COUNT)]
    else:
        flat = np.full((SIDE, SIDE), 0.5, np.float32)
        trials = [trial_of(i) for i in range(COUNT)]
        trials = [replace(t, class_maps={2: flat}, refined=dict.fromkeys(t.refined, flat)) for t in trials]
    with pytest.raises(UserError, match="^tune: no setting gives good masks of these 6 samples: .*nothing is written"):
        search(trials, PAPER)


def test_the_score_prefers_the_true_mask():
    trials = [trial_of(i) for i in range(COUNT)]
    truths = [large(truth_of(i)) for i in range(COUNT)]
    best = judged(trials, truths)
    others = {
        "everything": [np.ones_like(t) for t in truths],
        "nothing": [np.zeros_like(t) for t in truths],
        "inverted": [~t for t in truths],
        "shifted": [np.roll(t, 8, axis=1) for t in truths],
        "grown": [large(np.pad(truth_of(i), 2)[:SIDE, :SIDE] | truth_of(i)) for i in range(COUNT)],
    }
    for name, masks in others.items():
        assert judged(trials, masks).value < best.value, name
    assert judged(trials, others["everything"]).outside == judged(trials, others["nothing"]).outside == 1


def test_the_colour_step_is_the_mean_over_pairs_on_either_side():
    rng = np.random.default_rng(3)
    image, mask = rng.integers(0, 256, (7, 9, 3), np.uint8), rng.random((7, 9)) > 0.5
    between, every = [], []
    for y, x in np.ndindex(7, 9):
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            if y + dy < 7 and 0 <= x + dx < 9:
                step = float(np.linalg.norm(image[y, x].astype(float) - image[y + dy, x + dx].astype(float)))
                every.append((dy, dx, step))
                between += [step] if mask[y, x] != mask[y + dy, x + dx] else []
    directions = [np.mean([s for dy, dx, s in every if (dy, dx) == d]) for d in {(dy, dx) for dy, dx, _ in every}]
    assert colour_step(image, mask) == pytest.approx(np.mean(between) / np.mean(directions), rel=1e-5)


def test_the_explained_share_is_that_of_a_regression_on_the_mask():
    trial, mask = trial_of(1), large(truth_of(2))
    cells = truth_of(2).ravel().astype(float)
    shares = []
    for n, values in enumerate([trial.class_maps[2], *trial.refined.values()]):
        r = np.corrcoef(cells, values.ravel())[0, 1]
        shares.append(r**2 if n or r > 0 else 0.0)
    assert explained_share(trial, mask) == pytest.approx(np.mean(shares), rel=1e-5)


def test_the_scale_of_attention_and_of_colour_does_not_matter():
    trial = trial_of(0)
    scaled = replace(
        trial,
        class_maps={k: 7 * v for k, v in trial.class_maps.items()},
        refined={key: v / 5 for key, v in trial.refined.items()},
    )
    setting = changed(PAPER, tau=0.5, lambda_=3.0)
    assert score_of([scaled], setting).value == pytest.approx(score_of([trial], setting).value, rel=1e-4)


def test_on_cells_it_cuts_as_on_the_attention_grid():
    trial = trial_of(0)
    for setting in (PAPER, changed(PAPER, tau=0.5, lambda_=6.0), changed(PAPER, thresholds="adaptive", lambda_=6.0)):
        coarse = solve(trial.on_cells(), setting.on_cells(trial)).mask
        whole = solve(trial, changed(setting, grid="attention")).mask
        assert iou(large(coarse), whole) > 0.98
    assert normalise(trial.class_maps[2]).shape == coarse.shape
