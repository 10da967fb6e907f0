"""Comparison of runs on benchmarks: per-image and summary tables, markdown, and a report that needs no network.

Frames and pictures in, files out. Knows nothing of segmenters or of how a score is computed; untrusted text is escaped
by the template or, in markdown, by `storage.text.escape`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from analysis import figures
from analysis.report import template
from storage.atomic import replacing, replacing_folder
from storage.photos.folders import Benchmark
from storage.results.scores import ScoreFolder
from storage.text import escape

SIDE = 256  # longest side of a tile in the gallery, pixels
# Score -> its name in tables, in their order; higher is better, except for the scores in LOWER.
SCORES = {
    "iou": "IoU",
    "acc": "Acc",
    "f_max": "maxF",
    "mae": "MAE",
    "s": "S",
    "e_max": "maxE",
    "weighted_f": "wF",
    "f_mean": "meanF",
    "f_adaptive": "adpF",
    "e_mean": "meanE",
    "e_adaptive": "adpE",
    "tokencut_f_max": "TokenCut maxF",
    "corloc": "CorLoc",
    "box_iou": "box IoU",
}
LOWER = {"mae"}
FACTS = ("run", "segmenter", "trained on", "training samples", "images", "failed")
VOID = "void pixels"  # a fact of tables in which some image has pixels that are not judged


@dataclass(frozen=True)
class Evaluation:
    """One run on one benchmark. images: `storage.results.scores.table`; summary: score by name, empty if all failed.

    training: number of training samples, None if the run does not record it; choices: the rest of its configuration
    and data as text, equal for runs that differ only in their number of samples.
    """

    run: str
    segmenter: str
    trained_on: str
    training: int | None
    choices: str
    benchmark: str
    pairs: Benchmark
    scores: ScoreFolder
    images: pd.DataFrame
    summary: dict[str, float]

    @property
    def failed(self) -> pd.DataFrame:
        return self.images[self.images["error"] != ""]


def write_comparison(evaluations: list[Evaluation], out: Path, worst: int) -> Path:
    """Write images.parquet, summary.csv, comparison.md and report/ to `out`; returns the path of its index.html."""
    frames = [e.images.assign(run=e.run, benchmark=e.benchmark) for e in evaluations]
    images = pd.concat(frames, ignore_index=True).drop(columns="made_from")
    with replacing(out / "images.parquet") as partial:
        images.to_parquet(partial, index=False)
    summary = summary_table(evaluations)
    with replacing(out / "summary.csv") as partial:
        summary.to_csv(partial, index=False)
    with replacing(out / "comparison.md") as partial:
        partial.write_text(markdown(summary), encoding="utf-8")
    return _write_report(evaluations, summary, out / "report", worst)


def summary_table(evaluations: list[Evaluation]) -> pd.DataFrame:
    """One row per run and benchmark: facts, counts of images scored and failed, and the available scores."""
    rows = []
    for e in evaluations:
        failed = len(e.failed)
        samples = "–" if e.training is None else str(e.training)
        facts = (e.run, e.segmenter, e.trained_on, samples, len(e.images) - failed, failed)
        void = {VOID: int(e.images["void"].sum())} if "void" in e.images else {}
        rows.append({"benchmark": e.benchmark} | dict(zip(FACTS, facts, strict=True)) | void | e.summary)
    frame = pd.DataFrame(rows)
    if VOID in frame:
        frame[VOID] = frame[VOID].fillna(0).astype(int)
    return frame[["benchmark", *facts_of(frame), *(name for name in SCORES if name in frame)]]


def facts_of(summary: pd.DataFrame) -> list[str]:
    """The columns of a summary that are not scores, beside the benchmark's name."""
    return [*FACTS, *([VOID] if VOID in summary else [])]


def markdown(summary: pd.DataFrame) -> str:
    """One table per benchmark, the best of several runs in bold."""
    parts = []
    for benchmark, rows in summary.groupby("benchmark", sort=False):
        names, cells = compared(rows)
        head = [*facts_of(summary), *(SCORES[name] for name in names)]
        lines = [f"## {escape(benchmark)}", "", _line(head), _line(["---"] * 3 + ["---:"] * (len(head) - 3))]
        for facts, scores in zip(rows[facts_of(summary)].itertuples(index=False), cells, strict=True):
            bold = [f"**{text}**" if best else text for text, best in scores]
            lines.append(_line([*map(escape, facts), *bold]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def compared(rows: pd.DataFrame) -> tuple[list[str], list[list[tuple[str, bool]]]]:
    """The names of one benchmark's scores, and each row's scores as text, with whether it is the best of several."""
    names = [name for name in SCORES if name in rows and rows[name].notna().any()]
    best = {name: rows[name].min() if name in LOWER else rows[name].max() for name in names}
    lines = rows.to_dict("records")

    def cell(line: dict[Any, Any], name: str) -> tuple[str, bool]:
        value = line[name]
        return ("–", False) if pd.isna(value) else (f"{value:.4f}", len(rows) > 1 and value == best[name])

    return names, [[cell(line, name) for name in names] for line in lines]


def worst_images(images: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows with the lowest IoU (box IoU for sets with boxes), worst first."""
    score = next((name for name in ("iou", "box_iou") if name in images), None)
    if score is None:
        return images.iloc[:0].assign(score=[])
    return images.assign(score=images[score]).dropna(subset="score").sort_values("score", kind="stable")[:count]


def scale_lines(evaluations: list[Evaluation]) -> dict[str, list[tuple[int, float]]]:
    """Lines of IoU against the number of training samples, for one benchmark's runs that differ only in that number.

    A line has the segmenter's name; if several have the same name, also the data and the runs.
    """
    groups: dict[str, list[Evaluation]] = {}
    for e in evaluations:
        if e.training is not None and "iou" in e.summary:
            groups.setdefault(e.choices, []).append(e)
    drawn = [group for group in groups.values() if len({e.training for e in group}) > 1]
    names = [group[0].segmenter for group in drawn]
    lines = {}
    for group in drawn:
        name = group[0].segmenter
        if names.count(name) > 1:
            name = f"{name}, {group[0].trained_on} ({', '.join(e.run for e in group)})"
        lines[name] = sorted((e.training or 0, e.summary["iou"]) for e in group)
    return lines


def _write_report(evaluations: list[Evaluation], summary: pd.DataFrame, folder: Path, worst: int) -> Path:
    with replacing_folder(folder) as partial:
        (partial / "images").mkdir()
        sections = []
        for benchmark, rows in summary.groupby("benchmark", sort=False):
            names, cells = compared(rows)
            on_set = [e for e in evaluations if e.benchmark == benchmark]
            sections.append(
                {
                    "benchmark": benchmark,
                    "scores": [SCORES[name] for name in names],
                    "lines": list(zip(rows[facts_of(summary)].values.tolist(), cells, strict=True)),
                    "curve": _curve(on_set, partial / "images"),
                    "galleries": [(e.run, list(_cards(e, worst, partial / "images"))) for e in on_set],
                    "errors": [(e.run, error) for e in on_set for error in e.failed["error"]],
                }
            )
        page = template("evaluation.html.j2").render(sections=sections, facts=facts_of(summary))
        (partial / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _curve(evaluations: list[Evaluation], folder: Path) -> str | None:
    """Draw IoU against training samples into `folder`; returns the picture's path in the page, None without lines."""
    if not (lines := scale_lines(evaluations)):
        return None
    file = f"scale-{len(list(folder.iterdir())):05d}.png"
    (folder / file).write_bytes(figures.scale_curve(lines))
    return f"{folder.name}/{file}"


def _cards(evaluation: Evaluation, worst: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Draw the worst images into `folder` and yield their cards' data."""
    position = {name: i for i, name in enumerate(evaluation.pairs.labels)}
    for row in worst_images(evaluation.images, worst).to_dict("records"):
        photo, truth, void = evaluation.pairs.judged_pair(position[row["name"]])
        soft = np.asarray(Image.open(evaluation.scores.prediction_path(row["name"])))
        picture = drawn(photo, truth, soft, void)
        file = f"{len(list(folder.iterdir())):05d}.webp"  # no user's file name in a path or a URL
        (folder / file).write_bytes(figures.encode(picture, "WEBP"))
        height, width = picture.shape[:2]
        yield {
            "file": f"{folder.name}/{file}",
            "width": width,
            "height": height,
            "name": row["name"],
            "score": f"{row['score']:.4f}",
        }


def drawn(photo: np.ndarray, truth: np.ndarray, soft: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """Photo, truth and prediction side by side, (H', 3 W', 3) uint8, W' and H' at most SIDE.

    photo: (H, W, 3) uint8; truth: (H, W) bool, or boxes (N, 4), drawn on the photo; soft: (H, W) uint8; void: (H, W)
    bool, grey in the truth.
    """
    if truth.ndim == 2 and truth.dtype == bool:
        shown = np.repeat(truth[..., None].astype(np.uint8) * 255, 3, axis=2)
        if void is not None:
            shown[void] = 128
    else:
        shown = figures.framed(photo, truth)
    scale = min(1.0, SIDE / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    tiles = (photo, shown, np.repeat(soft[..., None], 3, axis=2))
    return np.concatenate([np.asarray(Image.fromarray(t).resize(size, Image.Resampling.BOX)) for t in tiles], axis=1)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
