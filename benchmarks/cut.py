"""Banded against full grid: how alike the masks are and how much faster the band is, at 512x512.

Pictures and masks come from a folder holding ECSSD and DUTS-TR, or, where there is none, are pocket scenes enlarged four
times. The evidence is simulated from the mask: no diffusion model takes part.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from models.attentioncut import OFFSETS, Cut, Evidence, cut
from models.config import CutConfig
from models.cutgraph import pair_views
from models.pocket.scenes import render

SIZE, GRID = 512, 64
LAYOUTS = (("ECSSD/images", "ECSSD/ground_truth_mask"), ("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"))
SETTINGS = {"paper": CutConfig(), "smooth": CutConfig.model_validate({"alpha": 0.0, "lambda": 8.0})}
IOU_BAR, SPEED_BAR = 0.99, 10.0

Pair = tuple[np.ndarray, np.ndarray]  # image (512, 512, 3) uint8, mask (512, 512) bool


def run(folder: Path | None = None, count: int = 200) -> dict[str, Any]:
    """Cut `count` pictures on both grids under each setting; prints a table and returns its figures."""
    number, load = _pictures(folder, count)
    source = "pocket scenes" if folder is None else "photographs"
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
    for i in tqdm(range(number), desc=f"cutting {source}", unit="picture"):
        image, truth = load(i)
        evidence = simulate(truth, np.random.default_rng([0, i]))
        for name, config in SETTINGS.items():
            rows[name].append(compare(image, truth, evidence, config))
    figures = {name: _summary(row) for name, row in rows.items()}
    _print_table(figures, source, number)
    return {"source": source, "count": number, "size": SIZE, "grid": GRID, "settings": figures}


def compare(image: np.ndarray, truth: np.ndarray, evidence: Evidence, config: CutConfig) -> dict[str, float]:
    """One picture on both grids: likeness, seconds of the whole cut, and likeness to the truth."""
    banded, banded_s = _timed(image, evidence, config.model_copy(update={"grid": "banded"}))
    full, full_s = _timed(image, evidence, config.model_copy(update={"grid": "full"}))
    return {
        "iou": iou(banded.mask, full.mask),
        "banded_s": banded_s,
        "full_s": full_s,
        "energy_excess": banded.energy / full.energy - 1,
        "truth_banded": iou(banded.mask, truth),
        "truth_full": iou(full.mask, truth),
        "uncertainty": banded.uncertainty,
    }


def simulate(mask: np.ndarray, rng: np.random.Generator) -> Evidence:
    """Evidence such as a diffusion model might leave for a mask (512, 512): blurred, noisy, on 64x64 cells.

    Averaged attention is smooth, so the maps' noise is correlated over neighbouring cells. An affinity is high between
    cells that share a side of the mask.
    """
    share = mask.reshape(GRID, SIZE // GRID, GRID, SIZE // GRID).mean((1, 3))  # (64, 64) share of foreground

    def noisy(blur: float) -> np.ndarray:
        noise = gaussian_filter(rng.normal(size=share.shape), 1.0)
        return np.clip(gaussian_filter(share, blur) + 0.1 * noise / noise.std(), 0, None).astype(np.float32)

    affinities = np.zeros((len(OFFSETS), GRID, GRID), dtype=np.float32)
    for d, offset in enumerate(OFFSETS):
        p, q = pair_views(share, offset)
        target, _ = pair_views(affinities[d], offset)
        target[:] = (1 - np.abs(p - q)) * rng.uniform(0.2, 1.0, p.shape) / GRID**2
    return Evidence(noisy(2.0), noisy(1.0), affinities)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def _timed(image: np.ndarray, evidence: Evidence, config: CutConfig) -> tuple[Cut, float]:
    start = perf_counter()
    result = cut(image, evidence, config)
    return result, perf_counter() - start


def _pictures(folder: Path | None, count: int) -> tuple[int, Callable[[int], Pair]]:
    """How many pictures there are, at most `count`, and what loads the i-th: a fixed random choice of the folder's."""
    if folder is None:
        return count, _scene
    found = [
        (image, folder / masks / f"{image.stem}.png")
        for images, masks in LAYOUTS
        for image in sorted((folder / images).glob("*.jpg"))
    ]
    if not found:
        raise ValueError(f"{folder}: expected ECSSD/images/*.jpg or DUTS-TR/DUTS-TR-Image/*.jpg, found none; name their parent")
    order = np.random.default_rng(0).permutation(len(found))[:count]
    return len(order), lambda i: _photograph(*found[order[i]])


def _photograph(image: Path, mask: Path) -> Pair:
    pixels = Image.open(image).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    truth = Image.open(mask).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(pixels), np.asarray(truth) > 127


def _scene(index: int) -> Pair:
    scene = render(1, index)
    pixels = Image.fromarray(scene.image).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    truth = Image.fromarray(scene.mask).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    return np.asarray(pixels), np.asarray(truth)


def _summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the pictures; the speed ratio is of the total times."""
    table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    ratio = float(table["full_s"].sum() / table["banded_s"].sum())
    return {
        "iou_mean": float(table["iou"].mean()),
        "iou_min": float(table["iou"].min()),
        "banded_ms": float(table["banded_s"].mean() * 1e3),
        "full_ms": float(table["full_s"].mean() * 1e3),
        "speed_ratio": ratio,
        "energy_excess_mean": float(table["energy_excess"].mean()),
        "truth_iou_banded": float(table["truth_banded"].mean()),
        "truth_iou_full": float(table["truth_full"].mean()),
        "uncertainty_mean": float(table["uncertainty"].mean()),
        "reached": bool(table["iou"].mean() >= IOU_BAR and ratio >= SPEED_BAR),
    }


def _print_table(figures: dict[str, dict[str, float]], source: str, count: int) -> None:
    print(f"banded against full grid, {count} {source} at {SIZE}x{SIZE}, evidence at {GRID}x{GRID}")
    print(f"{'setting':10}{'IoU mean':>10}{'IoU min':>10}{'banded ms':>11}{'full ms':>10}{'ratio':>8}  bars {IOU_BAR}, {SPEED_BAR:g}x")
    for name, row in figures.items():
        numbers = f"{row['iou_mean']:10.4f}{row['iou_min']:10.4f}{row['banded_ms']:11.1f}{row['full_ms']:10.1f}{row['speed_ratio']:8.1f}"
        print(f"{name:10}{numbers}  {'reached' if row['reached'] else 'not reached'}")
