"""Counts and distributions of a dataset: of its table as plain dictionaries, of its images and masks as frames.

Knows nothing of figures or pages. `summarise` and `describe` are JSON-able, so that they can be stored with a version
and printed; their frame is `Dataset.frame()`: one row per sample, index = sample index. docs/statistics.md defines the
measures of images and masks.
"""

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.diversity import diversity_of
from analysis.measures import STATISTICS, Measured, measure
from analysis.prompts import prompt_facts
from analysis.shapes import Normalisation, pair_distances
from models.errors import UserError
from storage.dataset.reader import open_dataset
from storage.dataset.repository import reading

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset
    from storage.photos.folders import Benchmark

FINISHED = ("kept", "rejected", "failed")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DIVERSITY = "shape_diversity"
PAIRS = 100_000  # pairs of polygons averaged for the shape diversity


def summarise(frame: pd.DataFrame) -> dict[str, Any]:
    """Counts by status, reason and class, and quantiles of the kept samples' size and scores."""
    counts = _by_status(frame)
    kept = frame[frame["status"] == "kept"]
    return {
        **counts,
        "rejected": reasons(frame),
        "classes": {str(name): _by_status(rows) for name, rows in frame.groupby("category", sort=True)},
        "area": quantiles(kept["area"]),
        "clip_score": quantiles(kept["clip_score"]),
        "uncertainty": quantiles(kept["uncertainty"]),
        "clamped": int(frame["num_clamped"].sum()) if "num_clamped" in frame else 0,
        "bilateral_refused": int(frame["bilateral_refused"].sum()) if "bilateral_refused" in frame else 0,
    }


def describe(path: Path | str) -> dict[str, Any]:
    """The output of `maskmill info --json`: version (None if unpublished), counts, image size, prompts and config.

    And the figures of the trial, if there was one.
    """
    build = open_dataset(path, "build")
    dataset = open_dataset(path) if build.versions else build
    frame = dataset.frame()
    counts = summarise(frame)
    return {
        "version": dataset.version if build.versions else None,
        "versions": list(dataset.versions),
        **{name: counts[name] for name in ("planned", "kept", "rejected", "failed", "unfinished")},
        "image_size": list(dataset.image_size),
        "prompts": prompt_facts(dataset) | {"diversity": dataset.statistics.get("prompts") or diversity_of(frame)},
        "config": dataset.config,
        **({"trial": dataset.statistics["trial"]} if "trial" in dataset.statistics else {}),
    }


def sample_statistics(
    dataset: "Dataset", normalisation: Normalisation = "joint", on_sample: Callable[[], object] = lambda: None
) -> pd.DataFrame:
    """Measure the kept samples of a version: one row per sample, index = sample index.

    Columns: those of `measures.STATISTICS`, float, NaN if undefined (the shape of an empty mask); and `polygon`, the
    outline measured by complexity and length, x0, y0, x1, y1 ... in [0, 1], empty for an empty mask.
    """
    table = dataset.frame()
    group: Any = dataset.group
    images, masks = group["image"], group["mask"]

    def measured(index: int) -> dict[str, Any]:
        with reading(f"{dataset.path}"):
            image, mask = np.asarray(images[index]), np.asarray(masks[index])
        return _row(measure(image, mask, normalisation))

    return _measured([int(i) for i in table.index[table["status"] == "kept"]], "index", measured, on_sample)


def folder_statistics(
    pairs: "Benchmark", normalisation: Normalisation = "joint", on_sample: Callable[[], object] = lambda: None
) -> pd.DataFrame:
    """Measure a folder's pairs, index = their names: the columns of `sample_statistics`, and three more.

    `thresholded`: whether the mask had values between 0 and 255, and was thresholded at 127; `void`: number of pixels
    that are not judged; `error`: why a pair could not be read (its statistics are NaN), else ''.
    """

    def measured(i: int) -> dict[str, Any]:
        try:
            photo, grey, void = pairs.read(i)
        except (UserError, OSError) as error:
            return _row(UNREAD) | {"thresholded": False, "void": 0, "error": _encodable(str(error))}
        between = bool(((grey > 0) & (grey < 255)).any())
        num_void = 0 if void is None else int(void.sum())
        row = _row(measure(photo, grey > 127, normalisation, void))
        return row | {"thresholded": between, "void": num_void, "error": ""}

    frame = _measured(range(len(pairs)), "name", measured, on_sample)
    return frame.set_axis(pd.Index([_encodable(name) for name in pairs.names], name="name"))


def table_statistics(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a dataset's table for statistics: category, prompt, prompt_words, clip_score, uncertainty."""
    words = table["prompt"].map(lambda prompt: len(prompt.split())).astype(float)
    columns = table[["prompt", "clip_score", "uncertainty"]]
    return columns.assign(category=table["category"].astype("category"), prompt_words=words)


def statistics_summary(frame: pd.DataFrame, pairs: int = PAIRS, seed: int = 0) -> pd.DataFrame:
    """A row for each float column of `sample_statistics`, and for the shape diversity of their polygons.

    Columns: count of finite values, mean, standard_error of the mean, std, and quantiles q05 to q95. Of shape
    diversity they are over pairs of polygons, at most `pairs` of them; its standard error is that of drawing pairs
    of these samples, 0 where all were taken. Where the frame has them from `table_statistics`, `class_balance` and
    `distinct_prompts`, the share of prompts that differ, have a mean only.
    """
    columns = {str(name): finite(frame[name]) for name in frame.select_dtypes("float")}
    rows = {name: _describe(values) for name, values in columns.items()}
    shapes = polygons(frame)
    rows[DIVERSITY] = _describe(pair_distances(shapes, pairs, seed))
    if 0 < len(shapes) * (len(shapes) - 1) // 2 <= pairs:
        rows[DIVERSITY]["standard_error"] = 0.0
    if "category" in frame:
        rows["class_balance"] = {"count": len(frame), "mean": class_balance(frame["category"])}
        rows["distinct_prompts"] = {"count": len(frame), "mean": frame["prompt"].nunique() / max(len(frame), 1)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("statistic").astype({"count": int})


def class_balance(categories: pd.Series) -> float:
    """Entropy of the classes over the entropy of equal frequencies, in [0, 1]; 1 for a single class.

    All classes of a categorical column count, including those without samples.
    """
    shares = categories.value_counts(normalize=True).to_numpy()
    if shares.size < 2:
        return 1.0
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum() / np.log(shares.size))


def polygons(frame: pd.DataFrame) -> list[np.ndarray]:
    """The polygons of the samples that have one, (V, 2) each."""
    return [np.reshape(flat, (-1, 2)) for flat in frame["polygon"] if len(flat)]


def finite(values: pd.Series) -> np.ndarray:
    """A column's finite values, float64."""
    array = values.to_numpy(dtype=float)
    return array[np.isfinite(array)]


def reasons(frame: pd.DataFrame) -> dict[str, int]:
    """Number of rejected samples by reason, most frequent first."""
    counts = frame.loc[frame["status"] == "rejected", "reason"].value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}


def quantiles(values: pd.Series) -> dict[str, float] | None:
    """Mean and quantiles of the finite values; None if there are none."""
    array = finite(values)
    return {"mean": float(array.mean())} | _quantiles(array) if array.size else None


def _by_status(frame: pd.DataFrame) -> dict[str, int]:
    """Counts; planned, the number of all samples, = kept + rejected + failed + unfinished."""
    counts = {name: int((frame["status"] == name).sum()) for name in FINISHED}
    return {"planned": len(frame), **counts, "unfinished": len(frame) - sum(counts.values())}


def _encodable(text: str) -> str:
    """Text with ? for each byte of a file name that is not valid UTF-8, which a parquet table cannot hold."""
    return text.encode(errors="replace").decode()


def _quantiles(array: np.ndarray) -> dict[str, float]:
    return {f"q{q * 100:02.0f}": float(v) for q, v in zip(QUANTILES, np.quantile(array, QUANTILES), strict=True)}


def _describe(array: np.ndarray) -> dict[str, float]:
    """A row of the summary; NaN for figures that need more values."""
    if not array.size:
        return {"count": 0} | dict.fromkeys(("mean", "standard_error", "std", *_quantiles(np.zeros(1))), float("nan"))
    std = float(array.std(ddof=1)) if array.size > 1 else float("nan")
    error = std / array.size**0.5
    return {"count": array.size, "mean": float(array.mean()), "standard_error": error, "std": std} | _quantiles(array)


UNREAD = Measured(dict.fromkeys(STATISTICS, float("nan")), None)


def _row(sample: Measured) -> dict[str, Any]:
    flat: Any = [] if sample.polygon is None else sample.polygon.ravel()
    return sample.statistics | {"polygon": np.asarray(flat, dtype=np.float32)}


def _measured(
    keys: Sequence[Hashable], name: str, measured: Callable[[Any], dict[str, Any]], on_sample: Callable[[], object]
) -> pd.DataFrame:
    """The rows of all keys, in order; computed in threads, because decoding and OpenCV release the GIL."""
    rows = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for row in pool.map(measured, keys):
            rows.append(row)
            on_sample()
    finally:
        pool.shutdown(cancel_futures=True)
    columns = [*STATISTICS, "polygon"]
    return pd.DataFrame(rows, index=pd.Index(list(keys), name=name), columns=list(rows[0]) if rows else columns)
