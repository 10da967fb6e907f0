"""The distance is a distance whatever the unit, and tables and page show hostile names as text."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.comparison import Measurements, distance, markdown, side_by_side, write_comparison
from analysis.distributions import bin_edges
from analysis.measures import STATISTICS
from analysis.statistics import DIVERSITY

VALUES = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30).map(lambda given: np.array(given, dtype=float))


def frame_of(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.random((count, len(STATISTICS))), columns=list(STATISTICS))
    frame["polygon"] = [rng.random(2 * int(rng.integers(3, 9))).astype(np.float32) for _ in range(count)]
    return frame


def measured(label: str, frame: pd.DataFrame) -> Measurements:
    return Measurements(label, frame, pairs=500, seed=0)


@given(VALUES, VALUES)
def test_distance_is_symmetric_and_between_zero_and_two(one, other):
    assert distance(one, one) == 0
    assert distance(one, other) == pytest.approx(distance(other, one))
    assert 0 <= distance(one, other) <= 2 + 1e-9
    assert (distance(one, other) < 1e-9) == (sorted(set(one)) == sorted(set(other)) and same_shares(one, other))


def same_shares(one, other) -> bool:
    return all(np.isclose((one == v).mean(), (other == v).mean()) for v in set(one))


@given(VALUES, VALUES, st.floats(0.01, 100), st.floats(-100, 100))
def test_distance_does_not_depend_on_the_unit(one, other, scale, shift):
    assert distance(one * scale + shift, other * scale + shift) == pytest.approx(distance(one, other), abs=1e-6)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_distance_of_equally_many_is_that_of_the_sorted_values(seed, count):
    one, other = np.random.default_rng(seed).normal(size=(2, count))
    both = np.concatenate([one, other])
    assert distance(one, other) == pytest.approx(np.abs(np.sort(one) - np.sort(other)).mean() / both.std())


def test_distance_at_its_ends():
    assert distance(np.zeros(3), np.ones(5)) == 2
    assert distance(np.ones(3), np.ones(5)) == 0
    assert np.isnan(distance(np.empty(0), np.ones(5)))


def test_data_beside_themselves_are_at_no_distance():
    frame = frame_of(40)
    table = side_by_side(measured("a", frame), measured("b", frame))
    assert list(table.index) == [*STATISTICS, DIVERSITY] and (table["distance"] == 0).all()
    assert (table["mean"] == table["reference_mean"]).all()
    far = side_by_side(measured("a", frame), measured("b", frame.assign(size=frame["size"] + 9)))
    assert far["distance"].idxmax() == "size"


def test_what_only_one_has_is_without_a_distance():
    frame = frame_of(10).assign(clip_score=0.5, complexity=np.nan)
    table = side_by_side(measured("a", frame), measured("b", frame_of(10)))
    assert np.isnan(table.loc["clip_score", ["reference_mean", "distance"]].astype(float)).all()
    assert np.isnan(table.loc["complexity", "distance"]) and np.isnan(table.loc["complexity", "mean"])
    assert list(side_by_side(measured("a", frame), None)) == ["mean", "standard_error", "std", "median"]


def test_tables_and_page_show_names_and_errors_as_text(tmp_path):
    hostile = "<script>alert(1)</script> | `$x^`"
    frame = frame_of(5).assign(thresholded=True, error=["", "", "", "", f"{hostile}: broken"])
    written = write_comparison(measured(hostile, frame), measured("plain", frame_of(3)), tmp_path)
    page, text = written.read_text(), (tmp_path / "comparison.md").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; | `$x^`: broken" in page
    assert "<script" not in text and len({line.count("|") for line in text.splitlines() if line[:1] == "|"}) == 1
    assert "4 samples measured, 5 masks that were not binary, thresholded at 127, 1 could not be read" in text
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert set(summary["data"]) == {hostile, "plain"} and len(summary) == 2 * (len(STATISTICS) + 1)
    for picture in [part.split('"')[0] for part in page.split('src="')[1:]]:
        assert (written.parent / picture).read_bytes().startswith(b"<?xml")


def test_the_same_data_make_the_same_files(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_comparison(measured("a", frame_of(20)), None, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) > 10 and all(
        (tmp_path / "one" / f).read_bytes() == (tmp_path / "other" / f).read_bytes() for f in files
    )


@pytest.mark.parametrize("values", [[3.0], [3.5], [1, 2, 3], [0.1, 0.2, 1000], [5, 5, 7000], [1e-9, 2e-9]])
def test_bins_are_few_rise_and_hold_nearly_all_values(values):
    edges = bin_edges([np.array(values, dtype=float)])
    assert (np.diff(edges) > 0).all() and 2 <= len(edges) < 100
    assert edges[0] <= min(values) and edges[-1] >= np.quantile(values, 0.99)


def test_no_values_at_all_still_make_a_page(tmp_path):
    frame = frame_of(2)
    frame[list(STATISTICS)] = np.nan
    frame["polygon"] = [np.empty(0, np.float32)] * 2
    assert write_comparison(measured("a", frame), measured("b", frame), tmp_path).exists()
    assert "NaN" not in markdown(measured("a", frame), None) and "nan" not in (tmp_path / "comparison.md").read_text()
