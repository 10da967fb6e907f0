"""Adaptive thresholds against the paper's numbers and pocket's preset, in every world (docs/decisions/adaptive-cut.md).

The constants of models/cut/levels.py were chosen on the photographs of even index; here those of odd index are measured.
"""

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.intervals import mean_interval
from benchmarks.masks.cut import iou
from benchmarks.masks.worlds import POCKET, WORLDS, Seen, renders, simulated
from models.config.backbone import BACKBONE_PRESETS
from models.config.cut import CutConfig
from models.cut.attentioncut import Evidence, cut
from models.cut.seeds import class_and_refined

TOP_K = 5
PRESET = CutConfig.model_validate(BACKBONE_PRESETS["pocket"]["cut"])
SETTINGS = {"the paper's numbers": CutConfig(thresholds="paper"), "pocket's preset": PRESET, "adaptive": CutConfig()}
GAIN, LOSS, OF_PRESET = 0.05, 0.03, 0.95


def run(folder: Path, count: int) -> dict[str, Any]:
    """IoU of each setting's masks in each world, of the odd ones of `count` photographs and renders."""
    rows, ious = [], {}
    worlds = [(world.name, lambda world=world: simulated(world, folder, count)) for world in WORLDS]
    worlds.append((POCKET, lambda: iter(renders(count))))
    with tqdm(total=len(worlds) * (count // 2), desc="cutting", unit="img") as bar:
        for name, pictures in worlds:
            ious[name] = measured(seen for i, seen in enumerate(pictures()) if i % 2)
            rows.append([name, *(mean_interval(values) for values in ious[name].T)])
            bar.update(len(ious[name]))
    gains = {name: float((values[:, 2] - values[:, 0]).mean()) for name, values in ious.items()}
    share = float(ious[POCKET][:, 2].mean() / ious[POCKET][:, 1].mean())
    worst = min(gains, key=lambda name: gains[name])
    return {
        "count": count // 2,
        "source": "photographs and renders, held out from the choice",
        "tables": [{"title": "IoU by world", "columns": ["world", *SETTINGS], "rows": rows, "note": NOTE}],
        "verdicts": {
            f"at least {GAIN} better than the paper's numbers everywhere": f"{_yes(gains[worst] >= GAIN)}, least "
            f"{gains[worst]:+.3f} in {worst}",
            f"at least {OF_PRESET} of pocket's preset on pocket": f"{_yes(share >= OF_PRESET)}, {share:.3f}",
        },
    }


NOTE = (
    "The worlds are simulated from masks (benchmarks/masks/worlds.py): they rank readings, and predict no IoU on real "
    "Stable Diffusion. A mean over photographs with its 95 % interval."
)


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def measured(pictures: Any) -> np.ndarray:
    """IoU with the truth of each picture under each setting, (images, settings)."""
    return np.array([[iou(mask_of(seen, config), seen.truth) for config in SETTINGS.values()] for seen in pictures])


def mask_of(seen: Seen, config: CutConfig) -> np.ndarray:
    """The mask (H, W) bool that a build under `config` would have."""
    class_map, refined = class_and_refined(seen.layer_maps, seen.columns, TOP_K, config)
    return cut(seen.image, Evidence(class_map, refined, seen.affinities), config).mask
