"""The samples of a dataset for the report's gallery: a thumbnail and a strip as pictures, the rest as data.

Knows nothing of the page's layout. Untrusted text goes into the data unchanged; the page sets it as text, never as
markup. Letters: N samples; H', W' a tile's pixels.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype
from tqdm import tqdm

from analysis import figures
from storage.dataset.repository import reading

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset

THUMBNAIL = 160  # longest side of a tile of the thumbnail, pixels
SIDE = 512  # longest side of a tile of the strip, pixels
BLOCK = 32  # samples read together
# The fastest of WebP's methods takes an eighth of the slowest method's time.
WEBP: dict[str, Any] = {"kind": "WEBP", "quality": 80, "method": 0}
MAPS = {"class_map": "A_c", "refined": "r"}
TEXTS = ("status", "reason", "category", "prompt")
# Columns with other names on the page.
LABELS = {
    "clip_score": "CLIP score",
    "area": "object size",
    "energy": "energy of the cut",
    "num_clamped": "values clamped",
    "contrast": "contrast (grey)",
    "contrast_rgb": "contrast (RGB)",
    "fg_bg_distance": "object against ground",
}


def draw_samples(dataset: "Dataset", frame: pd.DataFrame, folder: Path) -> None:
    """Draw each sample that has an image into `folder`'s thumbs/ and samples/, named by its index.

    A thumbnail has image and overlay side by side, a strip the tiles that `tile_names` lists.
    """
    for name in ("thumbs", "samples"):
        (folder / name).mkdir()
    drawn = np.flatnonzero(has_image(frame))
    blocks = np.split(drawn, np.flatnonzero(np.diff(drawn // BLOCK)) + 1)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(drawn), desc="pictures", unit="img") as bar,
    ):
        for count in pool.map(partial(_draw_block, dataset, folder), blocks):
            bar.update(count)


def has_image(frame: pd.DataFrame) -> np.ndarray:
    """Whether each sample has an image, of any later status: (N,) bool."""
    return (frame["status"] != "planned").to_numpy()


def tile_names(dataset: "Dataset") -> list[str]:
    """Names of a strip's tiles, from left to right."""
    return ["image", "mask", "overlay", *(name for array, name in MAPS.items() if array in dataset.group)]


def samples_data(frame: pd.DataFrame) -> dict[str, Any]:
    """The table by column, JSON-able: texts, scores (numbers or None), and all other columns as text.

    A score is a column of floats with at least one finite value. Integers become text, since a browser cannot
    represent all 64-bit seeds.
    """
    scores = [name for name in frame if is_float_dtype(frame[name]) and np.isfinite(frame[name]).any()]
    facts = [name for name in frame if not is_float_dtype(frame[name]) and name not in TEXTS]
    return {
        "count": len(frame),
        "drawn": has_image(frame).tolist(),
        **{name: frame[name].fillna("").astype(str).tolist() for name in TEXTS},
        "scores": [{"name": name, "label": label(str(name)), "values": _numbers(frame[name])} for name in scores],
        "facts": [{"label": label(str(name)), "values": frame[name].fillna("").astype(str).tolist()} for name in facts],
    }


def label(column: str) -> str:
    """A column's name on the page."""
    return LABELS.get(column, column.replace("_", " "))


def _numbers(values: pd.Series) -> list[float | None]:
    """Values with five significant digits; None if not finite."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.to_numpy(dtype=float)]


def _draw_block(dataset: "Dataset", folder: Path, indices: np.ndarray) -> int:
    """Draw samples with close indices, and return their number."""
    if not indices.size:
        return 0
    first, rows = indices[0], slice(indices[0], indices[-1] + 1)
    names = ["image", "mask", *(name for name in MAPS if name in dataset.group)]
    group: Any = dataset.group
    with reading(f"{dataset.path}"):
        arrays = {name: np.asarray(group[name][rows]) for name in names}
    for index in indices:
        image, mask, *maps = (array[index - first] for array in arrays.values())
        small, _, overlay = figures.tiles(image, mask, THUMBNAIL)
        strip = np.concatenate(figures.tiles(image, mask, SIDE, maps), axis=1)  # (H', 5 W', 3)
        for name, picture in (("thumbs", np.concatenate([small, overlay], axis=1)), ("samples", strip)):
            (folder / name / f"{index:06d}.webp").write_bytes(figures.encode(picture, **WEBP))
    return len(indices)
