"""Comparison of a dataset or folder with a reference, by statistic: tables, and a page that needs no network.

Frames of `analysis.statistics` in, files out. Untrusted text is escaped by the template or, in markdown, by
`storage.text.escape`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from analysis import distributions
from analysis.measures import STATISTICS
from analysis.report import template
from analysis.shapes import pair_distances
from analysis.statistics import DIVERSITY, finite, polygons, statistics_summary
from storage.atomic import replacing, replacing_folder
from storage.text import escape

# Statistic -> its name in tables, in their order
NAMES = STATISTICS | {
    DIVERSITY: "shape diversity (Chamfer distance of pairs)",
    "clip_score": "CLIP score",
    "uncertainty": "uncertainty of the mask",
    "prompt_words": "words of the prompt",
    "class_balance": "class balance (1: as many of each)",
    "distinct_prompts": "share of distinct prompts",
}
CENTRES = ("centre_x", "centre_y")  # drawn as points, not as two histograms
SPREAD = "Mean ± standard deviation over the samples; of shape diversity, mean ± standard error of drawing pairs."
DISTANCE = " Distance: Wasserstein over the pooled standard deviation, 0 (alike) to 2."


@dataclass(frozen=True)
class Measurements:
    """One dataset or folder: its name in tables, and the frame of its samples.

    pairs, seed: number of pairs of polygons drawn for the shape diversity, and their seed.
    """

    label: str
    frame: pd.DataFrame
    pairs: int
    seed: int

    @cached_property
    def summary(self) -> pd.DataFrame:
        return statistics_summary(self.frame, self.pairs, self.seed)

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """The finite values of each statistic that has a distribution; for shape diversity, those of the pairs."""
        columns = [name for name in NAMES if name in self.frame]
        shapes = pair_distances(polygons(self.frame), self.pairs, self.seed)
        return {name: finite(self.frame[name]) for name in columns} | {DIVERSITY: shapes}

    @property
    def notes(self) -> list[str]:
        """The number of samples, and the counts of empty, thresholded, partly void and unreadable masks."""
        void = self.frame.get("void", pd.Series(dtype=int))
        counts = {
            "samples measured": len(self.frame) - len(self.errors),
            "empty masks, whose shape is undefined": int((self.frame["size"] == 0).sum()),
            "masks that were not binary, thresholded at 127": int(self.frame.get("thresholded", pd.Series()).sum()),
            f"masks with pixels that are not judged, {int(void.sum()):,} pixels in all": int((void > 0).sum()),
            "could not be read": len(self.errors),
        }
        always = "samples measured"
        return [f"{count:,} {what}" for what, count in counts.items() if count or what == always]

    @property
    def errors(self) -> list[str]:
        return [] if "error" not in self.frame else [text for text in self.frame["error"] if text]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Wasserstein distance of two samples, (n,) and (m,), over their pooled standard deviation, equally weighted.

    In [0, 2]: 0 for equal distributions, 2 for two different constants; independent of the unit. NaN if one is empty.
    """
    if not one.size or not other.size:
        return float("nan")
    pooled = np.sqrt((one.var() + other.var()) / 2 + ((one.mean() - other.mean()) / 2) ** 2)
    return float(wasserstein_distance(one, other) / pooled) if pooled > 0 else 0.0


def side_by_side(subject: Measurements, reference: Measurements | None) -> pd.DataFrame:
    """One row per statistic (the index): mean, standard_error, std and median of both, and their distance."""
    columns = {"mean": "mean", "standard_error": "standard_error", "std": "std", "q50": "median"}
    table = subject.summary[list(columns)].rename(columns=columns)
    if reference is not None:
        beside = reference.summary[list(columns)].rename(columns=lambda name: f"reference_{columns[name]}")
        table = table.join(beside, how="outer")
        both = subject.values.keys() & reference.values.keys()
        table["distance"] = pd.Series({n: distance(subject.values[n], reference.values[n]) for n in both}, dtype=float)
    return table.reindex([name for name in NAMES if name in table.index]).rename_axis("statistic")


def cells(table: pd.DataFrame) -> list[list[str]]:
    """The rows of `side_by_side` as text: name, mean ± std of each source, distance."""
    sides = [prefix for prefix in ("", "reference_") if f"{prefix}mean" in table]
    rows = []
    for name, row in table.iterrows():
        shown = [_shown(str(name), row, prefix) for prefix in sides]
        if len(sides) == 2:
            shown.append("" if np.isnan(row["distance"]) else f"{row['distance']:.3f}")
        rows.append([NAMES[str(name)], *shown])
    return rows


def markdown(subject: Measurements, reference: Measurements | None) -> str:
    """The table, and the notes of each source."""
    both = [data for data in (subject, reference) if data is not None]
    head = ["statistic", *(escape(data.label) for data in both), *(["distance"] if reference else [])]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *cells(side_by_side(subject, reference))]
    notes = [f"- {escape(data.label)}: {', '.join(data.notes)}" for data in both]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", meaning(len(both)), "", *notes]) + "\n"


def meaning(sources: int) -> str:
    """The explanation of the figures in a table of one or two sources."""
    return SPREAD + (DISTANCE if sources == 2 else "")


def write_comparison(subject: Measurements, reference: Measurements | None, out: Path) -> Path:
    """Write summary.csv, comparison.csv, comparison.md and report/ to `out`; returns the path of its index.html."""
    both = {"subject": subject} | ({"reference": reference} if reference else {})
    summary = pd.concat([data.summary.assign(data=data.label) for data in both.values()])
    for name, table in (("summary", summary), ("comparison", side_by_side(subject, reference))):
        with replacing(out / f"{name}.csv") as partial:
            table.to_csv(partial)
    with replacing(out / "comparison.md") as partial:
        partial.write_text(markdown(subject, reference), encoding="utf-8")
    return _write_report(list(both.values()), cells(side_by_side(subject, reference)), out / "report")


def _write_report(data: list[Measurements], rows: list[list[str]], folder: Path) -> Path:
    drawn = [name for name in NAMES if name not in CENTRES and any(name in source.values for source in data)]
    with replacing_folder(folder) as partial:
        for name in drawn:
            groups = [source.values.get(name, np.empty(0)) for source in data]
            (partial / f"{name}.svg").write_bytes(distributions.distribution(groups, NAMES[name]))
        for i, source in enumerate(data):
            placed = source.frame[list(CENTRES)].dropna()
            picture = distributions.centres(placed["centre_x"].to_numpy(), placed["centre_y"].to_numpy(), second=i == 1)
            (partial / f"centres-{i}.svg").write_bytes(picture)
        page = template("statistics.html.j2").render(
            data=data,
            rows=rows,
            drawn=drawn,
            names=NAMES,
            meaning=meaning(len(data)),
            colours=(distributions.FIRST, distributions.SECOND),
        )
        (partial / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _shown(name: str, row: "pd.Series[Any]", prefix: str) -> str:
    mean, spread = row[f"{prefix}mean"], row[f"{prefix}{'standard_error' if name == DIVERSITY else 'std'}"]
    if np.isnan(mean):
        return ""
    return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"
