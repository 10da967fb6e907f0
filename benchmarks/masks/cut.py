"""Banded against full grid: agreement of the masks and speed-up at 512x512.

Pictures and masks come from a folder with ECSSD and DUTS-TR, or, without a folder, are pocket scenes enlarged four
times. The evidence is simulated from the mask, without a diffusion model.
"""

from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from models.config.cut import CutConfig
from models.cut.attentioncut import Cut, Evidence, cut
from models.cut.graph import OFFSETS, pair_views
from models.errors import UserError
from models.pocket.scenes import render

SIZE, GRID = 512, 64
LAYOUTS = (("ECSSD/images", "ECSSD/ground_truth_mask"), ("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"))
SETTINGS = {"paper": CutConfig(thresholds="paper"), "smooth": CutConfig.model_validate({"alpha": 0.0, "lambda": 8.0})}
IOU_BAR, SPEED_BAR = 0.99, 10.0

Pair = tuple[np.ndarray, np.ndarray]  # image (512, 512, 3) uint8, mask (512, 512) bool


def run(folder: Path | None, count: int) -> dict[str, Any]:
    """Cut `count` pictures on both grids under each setting; prints a table and returns its figures and their bars.

    Post-processing is off: it costs both grids the same and would hide differences.
    """
    pairs = pictures(folder, count)
    source = "pocket scenes" if folder is None else "photographs"
    evidence = [simulate(truth, np.random.default_rng([0, i])) for i, (_, truth) in enumerate(pairs)]
    settings = {}
    with tqdm(total=2 * len(SETTINGS) * len(pairs), desc=f"cutting {source}", unit="cut") as bar:
        for name, config in SETTINGS.items():
            bare = config.model_copy(update={"min_component": 0.0, "max_hole": 0.0})
            cuts, seconds = {}, {}
            for grid in ("banded", "full"):
                cuts[grid], seconds[grid] = _cut_all(pairs, evidence, bare.model_copy(update={"grid": grid}), bar)
            settings[name] = _summary(cuts, seconds, [truth for _, truth in pairs])
    _print_table(settings, source, len(pairs))
    figures = {f"{s}: {k}": v for s, values in settings.items() for k, v in values.items() if k != "reached"}
    bars = {f"{s}: {k}": bar for s in settings for k, bar in (("iou_mean", IOU_BAR), ("speed_ratio", SPEED_BAR))}
    return {"count": len(pairs), "source": source, "figures": figures, "bars": bars}


def _cut_all(pictures: list[Pair], evidence: list[Evidence], config: CutConfig, bar: tqdm) -> tuple[list[Cut], float]:
    """Every picture's cut, one after the other as in a worker, and the seconds of all.

    Processor time, so that other load does not count: a cut uses one thread, apart from a small matrix product.
    """
    cuts, seconds = [], 0.0
    for (image, _), each in zip(pictures, evidence, strict=True):
        start = process_time()
        cuts.append(cut(image, each, config))
        seconds += process_time() - start
        bar.update()
    return cuts, seconds


def simulate(mask: np.ndarray, rng: np.random.Generator) -> Evidence:
    """Evidence such as a diffusion model might leave for a mask (512, 512): blurred, noisy, on 64x64 cells.

    Averaged attention is smooth, so the maps' noise is correlated over neighbouring cells. An affinity is high between
    cells that share a side of the mask.
    """
    share = mask.reshape(GRID, SIZE // GRID, GRID, SIZE // GRID).mean((1, 3))  # (64, 64) share of foreground

    def noisy(blur: float) -> np.ndarray:
        noise = gaussian_filter(rng.normal(size=share.shape), 1.0)
        return np.clip(gaussian_filter(share, blur) + 0.05 * noise / noise.std(), 0, None).astype(np.float32)

    affinities = np.zeros((len(OFFSETS), GRID, GRID), dtype=np.float32)
    for d, offset in enumerate(OFFSETS):
        p, q = pair_views(share, offset)
        target, _ = pair_views(affinities[d], offset)
        target[:] = (1 - np.abs(p - q)) * rng.uniform(0.2, 1.0, p.shape) / GRID**2
    return Evidence(noisy(2.0), noisy(1.0), affinities)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def pictures(folder: Path | None, count: int) -> list[Pair]:
    """At most `count` pictures, a fixed random choice from the folder."""
    if folder is None:
        return [_scene(i) for i in range(count)]
    pairs = [
        (image, folder / masks / f"{image.stem}.png")
        for images, masks in LAYOUTS
        for image in sorted((folder / images).glob("*.jpg"))
    ]
    if not pairs:
        expected = " or ".join(f"{images}/*.jpg" for images, _ in LAYOUTS)
        raise UserError(f"{folder}: expected {expected}, found none; name the folder that holds them")
    order = np.random.default_rng(0).permutation(len(pairs))[:count]
    return [_photograph(*pairs[i]) for i in order]


def _photograph(image: Path, mask: Path) -> Pair:
    pixels = Image.open(image).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    truth = Image.open(mask).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(pixels), np.asarray(truth) > 127


def _scene(index: int) -> Pair:
    scene = render(1, index)
    pixels = Image.fromarray(scene.image).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    truth = Image.fromarray(scene.mask).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    return np.asarray(pixels), np.asarray(truth)


def _summary(cuts: dict[str, list[Cut]], seconds: dict[str, float], truths: list[np.ndarray]) -> dict[str, float]:
    """Means over the pictures; the speed ratio is of the total times."""
    banded, full = cuts["banded"], cuts["full"]
    alike = [iou(a.mask, b.mask) for a, b in zip(banded, full, strict=True)]
    ratio = seconds["full"] / seconds["banded"]
    return {
        "iou_mean": float(np.mean(alike)),
        "iou_min": float(np.min(alike)),
        "banded_ms": seconds["banded"] / len(truths) * 1e3,
        "full_ms": seconds["full"] / len(truths) * 1e3,
        "speed_ratio": ratio,
        "energy_excess_mean": float(np.mean([a.energy / b.energy - 1 for a, b in zip(banded, full, strict=True)])),
        "truth_iou_banded": float(np.mean([iou(a.mask, truth) for a, truth in zip(banded, truths, strict=True)])),
        "truth_iou_full": float(np.mean([iou(b.mask, truth) for b, truth in zip(full, truths, strict=True)])),
        "reached": bool(np.mean(alike) >= IOU_BAR and ratio >= SPEED_BAR),
    }


def _print_table(settings: dict[str, dict[str, float]], source: str, count: int) -> None:
    print(f"banded against full grid, {count} {source} at {SIZE}x{SIZE}, evidence at {GRID}x{GRID}")
    heading = f"{'setting':10}{'IoU mean':>10}{'IoU min':>10}{'banded ms':>11}{'full ms':>10}{'ratio':>8}"
    print(f"{heading}  bars: IoU {IOU_BAR}, ratio {SPEED_BAR:g}")
    for name, row in settings.items():
        likeness = f"{row['iou_mean']:10.4f}{row['iou_min']:10.4f}"
        speed = f"{row['banded_ms']:11.1f}{row['full_ms']:10.1f}{row['speed_ratio']:8.1f}"
        print(f"{name:10}{likeness}{speed}  {'reached' if row['reached'] else 'not reached'}")
