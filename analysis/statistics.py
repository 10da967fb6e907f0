"""Counts and distributions of a dataset's table: frames in, plain dictionaries out.

Knows nothing of pictures or of where a dataset lies. What it returns is JSON-able, so that it can be stored with a
version, printed, and compared. The frame is `Dataset.frame()`: one row a sample, index = sample index.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from storage.dataset import open_dataset

FINISHED = ("kept", "rejected", "failed")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
    """What `maskmill info --json` prints: version, counts, image size and config; version None while unpublished."""
    build = open_dataset(path, "build")
    dataset = open_dataset(path) if build.versions else build
    counts = summarise(dataset.frame())
    return {
        "version": dataset.version if build.versions else None,
        "versions": list(dataset.versions),
        **{name: counts[name] for name in ("planned", "kept", "rejected", "failed", "unfinished")},
        "image_size": list(dataset.image_size),
        "config": dataset.config,
    }


def reasons(frame: pd.DataFrame) -> dict[str, int]:
    """Rejected samples by reason, the commonest first."""
    counts = frame.loc[frame["status"] == "rejected", "reason"].value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}


def quantiles(values: pd.Series) -> dict[str, float] | None:
    """Mean and quantiles of the finite values; None where there are none."""
    finite = values.to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return None
    points = np.quantile(finite, QUANTILES)
    return {"mean": float(finite.mean())} | {
        f"q{q * 100:02.0f}": float(v) for q, v in zip(QUANTILES, points, strict=True)
    }


def _by_status(frame: pd.DataFrame) -> dict[str, int]:
    """planned (all of them) = kept + rejected + failed + unfinished."""
    counts = {name: int((frame["status"] == name).sum()) for name in FINISHED}
    return {"planned": len(frame), **counts, "unfinished": len(frame) - sum(counts.values())}
