"""Shapes of DUTS-TR and of pocket's pairs compared with the published ones, and the time to measure 50,000 pairs.

The peer computes the same with scikit-image and NumPy, one pair after the other. pocket's pairs are those of
`maskmill bench segmenters`, built if they do not exist.
"""

import os
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from skimage.color import rgb2gray
from skimage.measure import approximate_polygon, find_contours
from tqdm import tqdm

from analysis.comparison import Measurements, cells, side_by_side
from analysis.shapes import EPSILON, Normalisation, outline, pair_distances, polygon, polygon_length
from analysis.statistics import PAIRS, folder_statistics, sample_statistics
from benchmarks.intervals import mean_interval
from benchmarks.training.segmenters import kept_pairs
from storage.dataset.reader import open_dataset
from storage.photos.folders import Benchmark, open_folder

LAYOUT, GOAL, MINUTES = "DUTS-TR", 50_000, 10
OTHERS: tuple[Normalisation, ...] = ("longest-side", "per-axis")
PUBLISHED = {
    "DUTS-TR, as published": ("27.1", "2.96", "2.31"),
    "DiffusionSeg's pairs, as published": ("29.9", "2.78", "1.91"),
}
PARTS = ("names", "photos", "truths")
PEER_PAIRS = 200  # pairs that the slow peer measures


def run(folder: Path, photos: Path, count: int | None = None) -> dict[str, Any]:
    """Measure `count` pairs of photos/DUTS-TR, repeated if it has fewer, and pocket's 2,000 pairs."""
    every = open_folder(LAYOUT, photos / LAYOUT)
    frame, wall, cpu = timed(first(every, count or len(every)))
    load = os.getloadavg()[0]
    pairs = first(every, min(len(frame), len(every)))
    real = Measurements(LAYOUT, frame[: len(pairs)], PAIRS, 0)
    dataset = open_dataset(folder if folder.exists() else kept_pairs(folder, 2000))
    pocket = Measurements("pocket", sample_statistics(dataset), PAIRS, 0)
    speed_table, verdict = speed(frame, wall, cpu, first(pairs, PEER_PAIRS))
    verdict += f" at a load of {load:.1f} (2 is these threads' own)"
    beside = {
        "title": "Pocket's pairs beside DUTS-TR",
        "columns": ["statistic", "pocket", LAYOUT, "distance"],
        "rows": cells(side_by_side(pocket, real)),
        "note": f"Definitions: docs/statistics.md. DUTS-TR: {', '.join(real.notes)}; pocket: {pocket.notes[0]}.",
    }
    return {
        "count": len(frame),
        "source": f"pairs, of {len(pairs):,} different photographs",
        "tables": [geometry(real, pocket, pairs), beside, speed_table],
        "verdicts": {f"{GOAL:,} pairs in under {MINUTES} minutes on 2 cores": verdict},
    }


def speed(frame: pd.DataFrame, wall: float, cpu: float, some: Benchmark) -> tuple[dict[str, Any], str]:
    """The table of times, with the peer's on `some` of the frame's first pairs; and whether the goal is reached."""
    ours, theirs, vertices = beside_peer(some)
    rows = [
        [f"maskmill, {os.cpu_count()} cores, by the clock", wall / len(frame) * 1e3],
        ["maskmill, processor time", cpu / len(frame) * 1e3],
        [f"maskmill, processor time, first {len(some)} pairs", ours * 1e3],
        [f"scikit-image and NumPy, processor time, first {len(some)} pairs", theirs * 1e3],
    ]
    cv2_vertices = frame["complexity"][: len(some)].mean()
    note = (
        f"All with reading the files. The peer takes {theirs / ours:.1f} times as long. Its outlines run between "
        f"pixels and have {vertices:.1f} vertices in the mean where OpenCV's have {cv2_vertices:.1f}. Processor time, "
        "because other work on the machine makes the clock's longer."
    )
    minutes, clock = (seconds / len(frame) * GOAL / 60 for seconds in (cpu, wall))
    how = "measured" if len(frame) >= GOAL else f"extrapolated from {len(frame):,}"
    reached = "reached" if minutes < MINUTES else "**not reached**"
    verdict = f"{reached}, {minutes:.1f} minutes of processor time, {how}; {clock:.1f} by the clock"
    return {"title": "Speed", "columns": ["what", "milliseconds a pair"], "rows": rows, "note": note}, verdict


def geometry(real: Measurements, pocket: Measurements, pairs: Benchmark) -> dict[str, Any]:
    """The paper's Table 2: shape complexity, polygon length and shape diversity."""

    def row(name: str, complexity: np.ndarray, length: np.ndarray, distances: np.ndarray) -> list[Any]:
        error = distances.std(ddof=1) / distances.size**0.5
        return [name, mean_interval(complexity), mean_interval(length), f"{distances.mean():.3f} ± {error:.3f}"]

    def of(name: str, data: Measurements) -> list[Any]:
        return row(name, *(data.values[column] for column in ("complexity", "polygon_length", "shape_diversity")))

    outlines = [outline(pairs.pair(i)[1]) for i in tqdm(range(len(pairs)), desc="other normalisations", unit="img")]
    rows: list[list[Any]] = [[name, *values] for name, values in PUBLISHED.items()]
    rows.insert(1, of("DUTS-TR", real))
    for i, normalisation in enumerate(OTHERS):
        shapes = [polygon(contour, normalisation) for contour in outlines if contour is not None]
        lengths = np.array([polygon_length(shape) for shape in shapes])
        distances = pair_distances(shapes, PAIRS, 0)
        rows.insert(2 + i, row(f"DUTS-TR, {normalisation}", np.array([len(s) for s in shapes]), lengths, distances))
    rows.append(of("pocket", pocket))
    note = (
        "Normalised jointly where nothing else is said; intervals are of 95 %. SC: vertices, PL: length, SD: Chamfer "
        f"distance of {PAIRS:,} pairs and the standard error of drawing them. Published: Table 2 of arXiv 2303.09813, "
        f"over all of DUTS-TR; here {len(pairs):,} of it."
    )
    return {"title": "Shapes", "columns": ["data", "SC", "PL", "SD"], "rows": rows, "note": note}


def first(pairs: Benchmark, count: int) -> Benchmark:
    """The first `count` pairs of a folder, repeated from the start after its last pair."""
    chosen = [i % len(pairs) for i in range(count)]
    parts: dict[str, Any] = {part: tuple(getattr(pairs, part)[i] for i in chosen) for part in PARTS}
    return replace(pairs, **parts)


def timed(pairs: Benchmark) -> tuple[pd.DataFrame, float, float]:
    """The statistics of a folder, and their wall-clock seconds and processor seconds of all threads."""
    clock, processor = perf_counter(), process_time()
    with tqdm(total=len(pairs), desc=LAYOUT, unit="img") as bar:
        frame = folder_statistics(pairs, on_sample=bar.update)
    return frame, perf_counter() - clock, process_time() - processor


def beside_peer(pairs: Benchmark) -> tuple[float, float, float]:
    """Processor seconds per pair, ours and the peer's, and the peer's mean number of vertices."""
    _, _, ours = timed(pairs)
    start = process_time()
    vertices = [peer(*pairs.pair(i)) for i in tqdm(range(len(pairs)), desc="peer", unit="img")]
    return ours / len(pairs), (process_time() - start) / len(pairs), float(np.mean(vertices))


def peer(image: np.ndarray, mask: np.ndarray) -> int:
    """The same statistics with scikit-image and NumPy; returns the vertices."""
    rgb2gray(image).std(), image.std()
    histograms = [np.histogramdd(image[where], bins=8, range=[(0, 256)] * 3)[0] for where in (mask, ~mask)]
    p, q = (histogram / max(histogram.sum(), 1) for histogram in histograms)
    np.nansum((p - q) ** 2 / np.where(p + q > 0, p + q, 1))
    mask.mean()
    contours = find_contours(np.pad(mask, 1).astype(float), 0.5)
    if not contours:
        return 0
    points = max(contours, key=len)
    points.min(axis=0), points.max(axis=0)
    simple = approximate_polygon((points - points.min()) / np.ptp(points), EPSILON)
    np.linalg.norm(np.diff(simple, axis=0), axis=1).sum()
    return len(simple) - 1  # the last point repeats the first
