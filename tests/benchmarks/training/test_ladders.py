"""Rows of the ablations differ in what their names say, and their figures are means over scenes and seeds."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from benchmarks.masks.pocket import HELD_OUT_SEED
from benchmarks.training.ladders import FIXED, PACE, ROWS, figures, slug
from benchmarks.training.segmenters import HARDER, HELD_OUT, THIN
from models.pocket.scenes import render
from models.segmenters.registry import SEGMENTERS


@pytest.mark.parametrize("segmenter", ROWS)
def test_rows_are_other_runs_at_one_budget(segmenter):
    configs = [SEGMENTERS[segmenter](**PACE | FIXED[segmenter] | values) for values in ROWS[segmenter].values()]
    assert len({str(config.identity()) for config in configs}) == len({slug(row) for row in ROWS[segmenter]})
    assert (
        len({(c.epochs, c.batch_size, c.gradient_accumulation_steps, c.learning_rate, c.lr_schedule) for c in configs})
        == 1
    )


def test_the_ladder_adds_one_thing_a_rung():
    ladder = [SEGMENTERS["diffdis"](**values).identity() for values in list(ROWS["diffdis"].values())[:5]]
    added = [[name for name in low if low[name] != high[name]] for low, high in pairwise(ladder)]
    assert added == [["edge"], ["dbia"], ["swci"], ["cutmix"]]


def test_figures_are_means_over_seeds_of_all_scenes_of_the_harder_and_of_the_thin():
    scenes = [render(HELD_OUT_SEED, i) for i in range(HELD_OUT)]
    iou = np.array([(s.difficulty in HARDER) * 0.5 + (s.category in THIN) * 0.25 for s in scenes])
    frames = [pd.DataFrame({"run": name, "iou": iou + shift}) for name, shift in (("a", 0.0), ("b", 0.2), ("c", 9.0))]
    everything, harder, thin, apart = figures(pd.concat(frames), ["a", "b"], scenes)
    hard, small = (np.array([getattr(s, field) in kinds for s in scenes]) for field, kinds in FIELDS)
    for found, which in ((everything, slice(None)), (harder, hard), (thin, small)):
        assert found[0] == pytest.approx(iou[which].mean() + 0.1, abs=1e-4) and found[1] <= found[0] <= found[2]
    assert [float(each) for each in apart.split(", ")] == pytest.approx([iou.mean(), iou.mean() + 0.2], abs=1e-3)


FIELDS = (("difficulty", HARDER), ("category", THIN))
