"""Ways to compute r(p) without the whole A_s (docs/decisions/evidence.md), compared with the whole.

    python -m benchmarks.masks.evidence <folder of DUTS-TR> [images]

Attention is simulated from photographs and their masks, so no Stable Diffusion weights are needed: each cell has
features (object, colour, position) with noise that decreases over the steps, and layers of three grids attend by
distance. Prints, for each way, the IoU of its masks with those cut from the whole A_s (the same B rule) and with the
ground truth, and its memory per sample.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from models.backbone.attention import Record
from models.backbone.protocol import AttentionLayer
from models.config.cut import CutConfig
from models.cut.attentioncut import Evidence, affinities_of, cut
from models.cut.seeds import boundary_cells, normalise, refined_map, seed_columns

SIDE, STEPS = 64, 6
SETTINGS = {
    "paper": CutConfig(grid="attention", thresholds="paper"),
    "alpha 1, lambda 1": CutConfig(grid="attention", alpha=1.0, lambda_=1.0),
}
MEGABYTES = {"whole": 67.1, "pooled 16x16": 4.2, "pooled 32x32": 16.8, "seeds after half": 1.0, "seed cells": 16.8}


def photographs(folder: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(image (512, 512, 3) uint8, mask (64, 64) in [0, 1]) of the folder's first pictures."""
    for path in sorted((folder / "DUTS-TR-Image").glob("*.jpg"))[:count]:
        image = Image.open(path).convert("RGB").resize((512, 512))
        mask = (
            Image.open(folder / "DUTS-TR-Mask" / f"{path.stem}.png")
            .convert("L")
            .resize((SIDE, SIDE), Image.Resampling.BOX)
        )
        yield np.asarray(image), np.asarray(mask) / 255


def simulate(image: np.ndarray, mask: np.ndarray, seed: int, sharpness: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Class maps of each step (STEPS, h, w), and A_s (N, N) of the first and of the second half of the steps."""
    rng = np.random.default_rng(seed)
    colour = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX)) / 255
    place = np.moveaxis(np.mgrid[:SIDE, :SIDE], 0, -1) / SIDE
    clean = np.concatenate([gaussian_filter(mask, 1)[..., None], 1.5 * colour, place], -1)
    halves = [Record((SIDE, SIDE), torch.ones(1, 1), "full") for _ in range(2)]
    maps = []
    for step in range(STEPS):
        sigma = 0.25 * (1 - step / STEPS)
        maps.append(np.clip(gaussian_filter(mask, 2.5) + rng.normal(0, 0.5 * sigma, mask.shape), 0, None))
        for factor in (1, 2, 4):
            small = clean.reshape(SIDE // factor, factor, SIDE // factor, factor, -1).mean((1, 3))
            small = sharpness * (small + rng.normal(0, sigma / factor, small.shape))
            f = torch.from_numpy(small.reshape(1, 1, -1, small.shape[-1])).float()
            key = torch.cat([f, -(f**2).sum(-1, keepdim=True) / 2], -1)
            layer = AttentionLayer("self", halvings=factor.bit_length() - 1, is_cross=False)
            halves[step * 2 // STEPS].add(layer, torch.cat([f, torch.ones_like(f[..., :1])], -1), key, 1.0)
    return np.array(maps, np.float32), [half.self_attention(0) for half in halves]


def ways(class_maps: np.ndarray, halves: list[np.ndarray], config: CutConfig) -> dict[str, np.ndarray]:
    """r(p) (h, w) by each way."""
    whole, class_map = symmetric((halves[0] + halves[1]) / 2), class_maps.mean(0)
    chosen, early = drawn(class_map, config), drawn(class_maps[: STEPS // 2].mean(0), config)
    maps = {"whole": whole[:, chosen].mean(1)}
    for side in (16, 32):
        k = SIDE // side
        pooled = whole.reshape(-1, side, k, side, k).mean((2, 4))
        maps[f"pooled {side}x{side}"] = pooled[:, chosen // SIDE // k, chosen % SIDE // k].mean(1)
    maps["seeds after half"] = symmetric(halves[1])[:, early].mean(1)
    maps["seed cells"] = refined_map(seed_columns(whole, SIDE, SIDE), class_map, config)
    return {way: refined.reshape(SIDE, SIDE).astype(np.float32) for way, refined in maps.items()}


def symmetric(self_attention: np.ndarray) -> np.ndarray:
    """A_s averaged with its transpose, (N, N)."""
    return (self_attention + self_attention.T) / 2


def drawn(class_map: np.ndarray, config: CutConfig) -> np.ndarray:
    """At most |B| cells of the whole boundary, ascending."""
    boundary = boundary_cells(normalise(class_map), config.tau)
    return np.sort(np.random.default_rng(0).permutation(boundary)[: config.num_seeds])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 0 if both are empty."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def main(folder: Path, count: int) -> None:
    """Print the table of docs/decisions/evidence.md."""
    scores: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for seed, (image, mask) in enumerate(photographs(folder, count)):
        truth = np.asarray(Image.fromarray(mask > 0.5).resize((512, 512)))
        for sharpness in (3.0, 6.0):
            class_maps, halves = simulate(image, mask, seed, sharpness)
            affinities = affinities_of((halves[0] + halves[1]) / 2, SIDE, SIDE)
            for name, config in SETTINGS.items():
                masks = {
                    way: cut(image, Evidence(class_maps.mean(0), refined, affinities), config).mask
                    for way, refined in ways(class_maps, halves, config).items()
                }
                for way, solved in masks.items():
                    key = (f"sharpness {sharpness:g}, {name}", way)
                    scores.setdefault(key, []).append((iou(solved, masks["whole"]), iou(solved, truth)))
    for (setting, way), pairs in scores.items():
        same, true = np.mean(pairs, axis=0)
        agreement = f"IoU with whole {same:.3f}, with truth {true:.3f}"
        print(f"{setting:30s} {way:17s} {agreement}; {MEGABYTES[way]:.1f} MB a sample")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8)
