"""Pictures of statistics: distributions of the values of one or two sources, and the positions of their objects.

Arrays in, SVG out. Knows nothing of the values' meaning or the sources' names: in every picture the first source is
teal and filled, the second a dark line.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

FIRST, SECOND = "#0f766e", "#1f2937"
BINS = 40
BEYOND = 0.995  # quantile at which an axis ends, so that outliers do not compress the rest
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "maskmill",
    "font.family": "sans-serif",
    "font.size": 9,
}


def distribution(groups: Sequence[np.ndarray], label: str) -> bytes:
    """Overlaid histograms of one or two groups of finite values, as shares of their group; bytes of an SVG."""
    figure = Figure(figsize=(4.2, 2.3), layout="constrained")
    axes = figure.subplots()
    drawn = [values for values in groups if values.size]
    if drawn:
        edges = bin_edges(drawn)
        for values, style in zip(groups, _STYLES, strict=False):
            if values.size:
                axes.stairs(np.histogram(values, edges)[0] / values.size, edges, **style)
    else:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color="#6b7280")
    axes.set(xlabel=label, ylabel="share", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def bin_edges(groups: Sequence[np.ndarray]) -> np.ndarray:
    """Edges of about BINS equal bins from the least value to the quantile BEYOND; integers are bin centres."""
    low, high = min(v.min() for v in groups), max(np.quantile(v, BEYOND) for v in groups)
    if all((values == np.rint(values)).all() for values in groups):
        step = max(1, round((high - low) / BINS))
        return np.arange(low - 0.5, high + step + 0.5, step)
    return np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])


def centres(x: np.ndarray, y: np.ndarray, second: bool = False) -> bytes:
    """Centres of objects as points in the image, x and y in [0, 1] from its upper left corner; bytes of an SVG."""
    figure = Figure(figsize=(3.6, 3.6), layout="constrained")
    axes = figure.subplots()
    size = float(np.clip(6000 / max(len(x), 1), 1.5, 9))
    # Rasterised within the SVG: tens of thousands of points would make it slow.
    axes.scatter(x, y, s=size, color=SECOND if second else FIRST, alpha=0.4, linewidths=0, rasterized=True)
    axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.spines[:].set_color("#9ca3af")
    axes.grid(alpha=0.25)
    return _svg(figure)


_STYLES: tuple[dict[str, Any], ...] = (
    {"fill": True, "facecolor": FIRST + "59", "edgecolor": FIRST, "linewidth": 1.2},
    {"fill": False, "edgecolor": SECOND, "linewidth": 1.4},
)


def _svg(figure: Figure) -> bytes:
    """The figure as SVG; the same data give the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", dpi=200, metadata={"Date": None}, transparent=True)
    return buffer.getvalue()
