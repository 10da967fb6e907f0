"""The judgement of a trial against a count one by one, and its sentence."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.checks.trial import stop_of
from models.config.build import TrialConfig
from models.screening.trial import Trial, judged

CELLS = 256
share = st.floats(0, 1, width=32)
samples = st.lists(st.tuples(share | st.just(float("nan")), share, share, st.integers(0, CELLS)), min_size=1)


def columns_of(rows: list[tuple[float, float, float, int]]) -> dict[str, np.ndarray]:
    area, uncertainty, border, num_clamped = (np.array(values) for values in zip(*rows, strict=True))
    return {"area": area.astype("f4"), "uncertainty": uncertainty, "border": border, "num_clamped": num_clamped}


@given(samples, st.floats(0, 0.5), st.floats(0.5, 1), share)
def test_it_counts_as_one_by_one(rows, min_area, max_area, max_share):
    config = TrialConfig(min_area=min_area, max_area=max_area, max_share=max_share)
    trial = judged(columns_of(rows), CELLS, config)
    masks = [row for row in rows if row[0] == row[0]]
    if not masks:
        assert trial is None
        return
    outside = [row for row in masks if not min_area <= row[0] <= max_area]
    assert trial.too_small + trial.too_large == len(outside)
    assert (trial.masks, trial.failed) == (len(masks), len(rows) - len(masks))
    assert trial.passes == (len(outside) + trial.failed <= max_share * len(rows))
    assert np.isclose(trial.clamped, sum(row[3] for row in masks) / (CELLS * len(masks)))
    assert np.isclose(trial.median_area, np.median([row[0] for row in masks]))


@given(samples)
def test_it_is_kept_as_json(rows):
    trial = judged(columns_of(rows), CELLS, TrialConfig())
    if trial is not None:
        assert Trial(**json.loads(json.dumps(asdict(trial), allow_nan=False))) == trial
        assert "\n" not in str(trial)


def test_masks_at_the_limits_pass_and_the_sentence_says_what_was_allowed():
    area = np.array([0.05, 0.7, 0.02, 0.9, np.nan])
    columns = {"area": area, "uncertainty": area * 0, "border": area * 0, "num_clamped": area * 0}
    trial = judged(columns, CELLS, TrialConfig(max_share=0.6))  # 3 of 5 samples
    assert trial is not None and trial.passes and (trial.too_small, trial.too_large, trial.failed) == (1, 1, 1)
    assert str(trial).startswith(
        "2 of 4 masks cover less than 5 % or more than 70 % of the picture, and 1 samples are NaN or infinite (at most "
        "60 % may; median area 38 %"
    )
    assert not judged(columns, CELLS, TrialConfig(max_share=0.59)).passes


def test_samples_that_failed_are_not_the_cuts_fault():
    area = np.array([0.3, np.nan, np.nan])
    trial = judged({"area": area, "uncertainty": area, "border": area, "num_clamped": area * 0}, CELLS, TrialConfig())
    assert trial is not None and trial.cut_fits and not trial.passes
    assert "float32" in str(stop_of(Path("data"), trial)) and "maskmill tune" not in str(stop_of(Path("data"), trial))
