"""Bars count every value once, on whatever numbers they are drawn."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.plots import centres, classes, histogram, plots

VALUES = st.lists(st.floats(-1e6, 1e6, width=32) | st.integers(-50, 50).map(float), max_size=60)


@given(VALUES, VALUES)
def test_bars_count_each_value_once_or_say_that_it_lies_beyond(kept: list[float], rejected: list[float]) -> None:
    groups = {"kept": np.array(kept), "rejected": np.array(rejected)}
    if not kept and not rejected:
        return
    figure, note = histogram(groups, "score")
    beyond = int(note.split()[1]) if note else 0
    counted = sum(sum(bars.y) for bars in figure.data)
    assert counted + beyond == len(kept) + len(rejected)
    assert beyond <= 0.01 * counted + 1
    for bars in figure.data:
        for (low, high), count in zip(bars.customdata, bars.y, strict=True):
            inside = (groups[bars.name] >= low) & (groups[bars.name] <= high)
            assert count <= inside.sum()  # a value on an edge belongs to one of its two bars


def test_a_few_values_far_out_do_not_press_the_others_together() -> None:
    values = np.concatenate([np.linspace(0, 1, 999), [1e6]])
    figure, note = histogram({"kept": values}, "score")
    assert note == "; 5 beyond the axis" and figure.layout.xaxis.range[1] < 1.1


def test_centres_are_counted_where_they_are() -> None:
    counts = np.array(centres(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])).data[0].z)
    assert counts.sum() == 3
    assert [counts[0, 0], counts[0, -1], counts[-1, -1]] == [1, 1, 1]  # rows from top to bottom


def test_class_names_are_no_markup_and_sorted_by_what_was_kept() -> None:
    table = pd.DataFrame({"category": ["<b>x</b>", "ball", "ball"], "status": ["rejected", "kept", "kept"]})
    figure = classes(table)
    assert figure.layout.xaxis.ticktext == ("ball", "&lt;b&gt;x&lt;/b&gt;")
    assert [tuple(bars.y) for bars in figure.data] == [(2, 0), (0, 1)]


@pytest.mark.parametrize("status", ["kept", "rejected", "planned"])
def test_what_has_no_values_is_not_drawn(status: str) -> None:
    scores = {name: [np.nan] for name in ("clip_score", "uncertainty", "area", "centre_x", "centre_y", "contrast")}
    drawn = plots(pd.DataFrame({"status": [status], "category": ["ball"], **scores}))
    assert [each["title"] for each in drawn] == ([] if status == "planned" else ["Class balance"])
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn
    one = plots(pd.DataFrame({"status": ["kept"], "category": ["ball"], **{key: [0.5] for key in scores}}))
    assert len(one) == 6
