"""Counts add up, quantiles ignore what is missing, and samples are measured in their order whatever is missing."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.measures import STATISTICS, measure
from analysis.shapes import chamfer
from analysis.statistics import (
    DIVERSITY,
    class_balance,
    polygons,
    quantiles,
    sample_statistics,
    statistics_summary,
    summarise,
    table_statistics,
)
from tests.analysis.standin import InMemoryDataset

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


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> InMemoryDataset:
    """Thirty scenes, one of the kept ones without a mask."""
    found = InMemoryDataset(tmp_path_factory.mktemp("standin"), 30)
    found.group["mask"][7] = False
    return found


def test_kept_samples_are_measured_each_in_its_row(dataset: InMemoryDataset) -> None:
    seen: list[int] = []
    frame = sample_statistics(dataset, "per-axis", lambda: seen.append(1))
    kept = dataset.frame().index[dataset.frame()["status"] == "kept"]
    assert frame.index.equals(kept.rename("index")) and len(seen) == len(kept) and frame.index.name == "index"
    for index in kept:
        sample = dataset[index]
        found = measure(sample.image, sample.mask, "per-axis")
        np.testing.assert_array_equal(frame.loc[index, list(STATISTICS)].astype(float), list(found.statistics.values()))
        assert len(frame.loc[index, "polygon"]) == (0 if index == 7 else 2 * found.statistics["complexity"])


def test_the_summary_is_of_what_there_is(dataset: InMemoryDataset) -> None:
    frame = sample_statistics(dataset)
    summary = statistics_summary(frame)
    assert list(summary.index) == [*STATISTICS, DIVERSITY]
    assert summary.loc["size", "count"] == len(frame) == summary.loc["complexity", "count"] + 1
    assert summary.loc["size", "mean"] == pytest.approx(frame["size"].mean())
    assert summary.loc["size", "standard_error"] == pytest.approx(frame["size"].sem())
    assert summary.loc["complexity", "q50"] == frame["complexity"].median()
    shapes = polygons(frame)
    pairs = [chamfer(one, other) for i, one in enumerate(shapes) for other in shapes[:i]]
    assert summary.loc[DIVERSITY, "mean"] == pytest.approx(np.mean(pairs))
    assert summary.loc[DIVERSITY, "count"] == len(pairs) and summary.loc[DIVERSITY, "standard_error"] == 0
    drawn = statistics_summary(frame, pairs=100, seed=3).loc[DIVERSITY]
    assert abs(drawn["mean"] - np.mean(pairs)) < 4 * drawn["standard_error"] and drawn["count"] == 100


def test_a_summary_of_nothing_and_of_one_sample(dataset: InMemoryDataset) -> None:
    frame = sample_statistics(dataset)
    for rows in (frame[:0], frame[:1], frame.loc[[7]]):
        summary = statistics_summary(rows)
        assert summary.loc["size", "count"] == len(rows) and summary.loc[DIVERSITY, "count"] == 0
        assert np.isnan(summary.loc[DIVERSITY, "mean"]) and np.isnan(summary.loc["size", "std"])


def test_a_dataset_without_kept_samples_has_an_empty_frame(tmp_path) -> None:
    frame = sample_statistics(InMemoryDataset(tmp_path, 3, status="rejected"))
    assert list(frame) == [*STATISTICS, "polygon"] and not len(frame)


def test_the_tables_statistics_stand_beside_them(dataset: InMemoryDataset) -> None:
    frame = sample_statistics(dataset).join(table_statistics(dataset.frame()))
    summary = statistics_summary(frame)
    words = [len(prompt.split()) for prompt in frame["prompt"]]
    assert summary.loc["prompt_words", "mean"] == pytest.approx(np.mean(words))
    assert summary.loc["distinct_prompts", "mean"] == len(set(frame["prompt"])) / len(frame)
    assert summary.loc["clip_score", "count"] == len(frame)
    assert 0 < summary.loc["class_balance", "mean"] < 1


def test_class_balance_is_the_normalised_entropy() -> None:
    assert class_balance(pd.Series(["a", "b", "c"] * 5)) == pytest.approx(1)
    assert class_balance(pd.Series(["a", "b", "b", "b"])) == pytest.approx(
        -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    )
    assert class_balance(pd.Series(["a", "a"])) == 1
    missing = pd.Series(["a", "b"], dtype=pd.CategoricalDtype(["a", "b", "c", "d"]))
    assert class_balance(missing) == pytest.approx(0.5)
