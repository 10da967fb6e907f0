"""Counts add up, quantiles ignore what is missing, and everything can be written as JSON."""

import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics import quantiles, summarise

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["planned", "sampled", "cut", "kept", "rejected", "failed"]),
        st.sampled_from(["dog", "traffic light", "été"]),
        st.sampled_from(["too small", "too large"]),
        st.floats(0, 1, width=32) | st.just(float("nan")),
    ),
    max_size=30,
)


def frame_of(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["status", "category", "reason", "area"])
    frame.loc[frame["status"] != "rejected", "reason"] = ""
    return frame.assign(clip_score=frame["area"], uncertainty=frame["area"], num_clamped=1)


@given(ROWS)
def test_counts_add_up_and_are_json(rows: list[tuple[str, str, str, float]]) -> None:
    summary = summarise(frame_of(rows))
    assert summary["planned"] == len(rows) == summary["clamped"]
    assert summary["planned"] == sum(summary[name] for name in ("kept", "failed", "unfinished")) + sum(
        summary["rejected"].values()
    )
    for name in ("planned", "kept", "failed", "unfinished"):
        assert summary[name] == sum(counts[name] for counts in summary["classes"].values())
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_quantiles_are_of_the_finite_values() -> None:
    found = quantiles(pd.Series([np.nan, 0.0, 0.5, 1.0, np.inf]))
    assert found is not None
    assert found["mean"] == found["q50"] == 0.5
    assert quantiles(pd.Series([np.nan])) is None


def test_only_kept_samples_enter_the_quantiles() -> None:
    summary = summarise(frame_of([("kept", "dog", "", 0.25), ("rejected", "dog", "too large", 0.99)]))
    assert summary["area"]["q95"] == 0.25
    assert summary["rejected"] == {"too large": 1}
