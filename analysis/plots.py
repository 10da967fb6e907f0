"""The report's interactive plots: a table in, plotly figures out.

The paper is DiffusionSeg (arXiv 2303.09813), its figures 3 to 5 are colour contrast, object size and centre bias. Knows
nothing of the page's layout. Each bar carries its range of the score, so that the page can show its samples.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures import COLOURS
from analysis.statistics import finite

BINS = 40
BEYOND = 0.995  # quantile at which an axis ends if outliers would compress the rest
CELLS = 32  # cells of the map of centres along each side
SHOWN = ("kept", "rejected")
BY_STATUS = {"clip_score": "CLIP score (confidence of the class)", "uncertainty": "Uncertainty of the mask"}
OF_KEPT = {
    "contrast": "Figure 3: colour contrast (std of grey)",
    "area": "Figure 4: object size (share of image)",
    "complexity": "Shape complexity (vertices)",
    "polygon_length": "Polygon length",
    "fg_bg_distance": "Object against ground (chi-square)",
    "centre_distance": "Distance from the image's centre",
}


def plots(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Title, note and figure of each plot, JSON-able. table: a dataset's frame with its kept samples' statistics."""
    return [
        {"title": title, "note": note, "figure": json.loads(figure.to_json())} for title, note, figure in _drawn(table)
    ]


def histogram(groups: dict[str, np.ndarray], score: str) -> tuple[go.Figure, str]:
    """Stacked bars of each status's finite values, and the number of values beyond the axis, in words."""
    every = np.concatenate(list(groups.values()))
    last = _end(every)
    edges = _edges(every[every <= last])
    bars = []
    for status, values in groups.items():
        counts, _ = np.histogram(values, edges)
        ranges = np.stack([edges[:-1], edges[1:]], axis=1)
        bars.append(
            go.Bar(
                x=ranges.mean(axis=1).tolist(),
                y=counts.tolist(),
                width=float(edges[1] - edges[0]),
                name=status,
                marker={"color": COLOURS[status], "line": {"width": 0}},
                customdata=ranges.tolist(),
                meta=score,
                hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}: %{y}<extra>" + status + "</extra>",
            )
        )
    beyond = int((every > last).sum())
    figure = go.Figure(bars, _layout(barmode="stack", bargap=0, xaxis={"range": [float(edges[0]), float(edges[-1])]}))
    return figure, f"; {beyond} beyond the axis" if beyond else ""


def centres(x: np.ndarray, y: np.ndarray) -> go.Figure:
    """Heat map of the objects' centres; x and y in [0, 1] from the image's upper left corner."""
    counts, _, _ = np.histogram2d(y, x, bins=CELLS, range=((0, 1), (0, 1)))
    middles = ((np.arange(CELLS) + 0.5) / CELLS).tolist()
    colours = [[0, "#ffffff"], [0.05, "#ccfbf1"], [1, COLOURS["kept"]]]
    hover = "x %{x:.2f}, y %{y:.2f}: %{z}<extra></extra>"
    bar = {"thickness": 10, "outlinewidth": 0}
    heat = go.Heatmap(x=middles, y=middles, z=counts.tolist(), colorscale=colours, colorbar=bar, hovertemplate=hover)
    axis: dict[str, Any] = {"range": [0, 1], "constrain": "domain", "tickvals": [0, 0.25, 0.5, 0.75, 1]}
    axis |= {"showline": True, "mirror": True, "linecolor": "#d1d5db"}
    upwards = axis | {"range": [1, 0], "scaleanchor": "x"}
    return go.Figure(heat, _layout(xaxis=axis, yaxis=upwards))


def classes(table: pd.DataFrame) -> go.Figure:
    """Samples of each class by status, sorted by the number of kept samples, descending."""
    counts = pd.crosstab(table["category"], table["status"]).reindex(columns=SHOWN, fill_value=0)
    counts = counts.sort_values("kept", ascending=False, kind="stable")
    names = [str(name) for name in counts.index]
    bars = [
        go.Bar(
            x=list(range(len(names))),
            y=counts[status].tolist(),
            name=status,
            marker={"color": COLOURS[status]},
            customdata=names,
            meta="category",
            hovertemplate="%{customdata}: %{y}<extra>" + status + "</extra>",
        )
        for status in SHOWN
    ]
    # The axis has the names as plain text if there is room; a bar's hover always has its name.
    ticks = {"tickvals": list(range(len(names))), "ticktext": [_plain(name) for name in names], "tickangle": -45}
    return go.Figure(bars, _layout(barmode="stack", xaxis=ticks if len(names) <= 40 else {"showticklabels": False}))


def _drawn(table: pd.DataFrame) -> Iterator[tuple[str, str, go.Figure]]:
    kept = table[table["status"] == "kept"]
    for score, title in OF_KEPT.items():
        values = finite(kept[score]) if score in kept else np.empty(0)
        if values.size:
            figure, beyond = histogram({"kept": values}, score)
            yield title, _in_words("kept", values) + beyond, figure
        if score == "area" and "centre_x" in kept and kept["centre_x"].notna().any():
            placed = kept[["centre_x", "centre_y"]].dropna()
            note = f"kept: centres of {len(placed)} bounding boxes, from corner to corner of the image"
            yield "Figure 5: centre bias", note, centres(placed["centre_x"].to_numpy(), placed["centre_y"].to_numpy())
    for score, title in BY_STATUS.items():
        groups = {status: finite(table.loc[table["status"] == status, score]) for status in SHOWN}
        if any(values.size for values in groups.values()):
            figure, beyond = histogram(groups, score)
            yield title, _in_words("kept", groups["kept"]) + beyond, figure
    if table["status"].isin(SHOWN).any():
        yield "Class balance", f"classes: {table['category'].nunique()}, most kept samples first", classes(table)


def _edges(values: np.ndarray) -> np.ndarray:
    """Edges of at most BINS bars; for integers, each bar covers the same number of integers."""
    if (values == np.rint(values)).all():
        step = max(1, np.ceil((values.max() - values.min() + 1) / BINS))
        return np.arange(values.min() - 0.5, values.max() + step, step)
    return np.histogram_bin_edges(values, BINS)


def _end(values: np.ndarray) -> float:
    """The end of an axis: the largest value, or the quantile BEYOND if there are outliers."""
    least, last, most = np.quantile(values, (0, BEYOND, 1))
    return float(last if most - least > 1.5 * (last - least) > 0 else most)


def _in_words(status: str, values: np.ndarray) -> str:
    if not values.size:
        return f"no value among the {status}"
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{status}: median {median:.3g}, 5 to 95 % {low:.3g} to {high:.3g}"


def _plain(text: str) -> str:
    """Escape text for labels, in which Plotly interprets a few tags (<b>, <a>)."""
    short = text if len(text) <= 18 else text[:17] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(**options: Any) -> go.Layout:
    """The layout that all plots share."""
    both = {"gridcolor": "#e5e7eb", "zeroline": False, "ticks": "outside", "tickcolor": "#d1d5db", "automargin": True}
    axes = {name: both | options.pop(name, {}) for name in ("xaxis", "yaxis")}
    margin = {"l": 8, "r": 8, "t": 16, "b": 8}
    font = {"family": "system-ui, sans-serif", "size": 12, "color": "#374151"}
    return go.Layout(
        template="none", height=300, margin=margin, font=font, showlegend=False, dragmode="zoom", **axes, **options
    )
