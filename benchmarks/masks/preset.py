"""The choice of pocket's preset: AttentionCut with each of its values changed, on inverted renders of seed 1.

`python -m benchmarks.masks.preset [COUNT] [BACKBONE]` prints the table of docs/decisions/pocket-preset.md. Training
uses the scenes of seed 0 and `maskmill bench pocket` those of seed 2.
"""

import sys
from typing import Any

import numpy as np

from benchmarks.masks.cut import iou
from benchmarks.masks.pocket import batches
from models.backbone.inversion import invert, reconstruct_with_capture
from models.backbone.load import load_backbone
from models.backbone.sampling import Sampled
from models.config.backbone import BACKBONE_PRESETS
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.cut.attentioncut import Evidence, cut
from models.cut.seeds import class_and_refined
from models.pocket.scenes import Scene, render

SEED = 1
PRESET = BACKBONE_PRESETS["pocket"]
CHANGES: list[dict[str, Any]] = [
    {},
    {"top_k": 3},
    {"top_k": 5},
    {"tau": 0.16},
    {"tau": 0.5},
    {"tau": 0.6},
    {"tau": 0.8},
    {"alpha": 0.0},
    {"alpha": 1.0},
    {"alpha": 5.0},
    {"objectness": "sum"},
    {"lambda": 0.1},
    {"lambda": 1.0},
    {"lambda": 2.0},
    {"lambda": 8.0},
    {"lambda": 16.0},
    {"geodesic_scale": 5.0},
    {"geodesic_scale": 20.0},
    {"affinity_scale": "range"},
]


def capture(count: int, backbone: str) -> list[tuple[Scene, Sampled]]:
    """Inverted renders with the attention of their reverse pass."""
    loaded, sampling = load_backbone(backbone), SamplingConfig(keep_pooled=True)
    renders: list[tuple[Scene, Sampled]] = []
    for part in batches([render(SEED, i) for i in range(count)], "inverted"):
        captions, categories = [s.caption for s in part], [s.category for s in part]
        latents = invert(loaded, np.stack([s.image for s in part]), captions, sampling.steps)
        samples = reconstruct_with_capture(
            loaded, latents, captions, categories, sampling, CutConfig(thresholds="paper")
        )
        renders += zip(part, samples, strict=True)
    return renders


def measure(renders: list[tuple[Scene, Sampled]], top_k: int, config: CutConfig) -> float:
    """Mean IoU of the masks with the truth."""
    ious = []
    for scene, sample in renders:
        assert sample.layer_maps is not None and sample.pooled is not None
        class_map, refined = class_and_refined(sample.layer_maps, sample.pooled, top_k, config)
        evidence = Evidence(class_map, refined, sample.evidence.affinities)
        ious.append(iou(cut(scene.image, evidence, config).mask, scene.mask))
    return float(np.mean(ious))


def main(count: int, backbone: str) -> None:
    """Print the table of docs/decisions/pocket-preset.md."""
    renders = capture(count, backbone)
    print("| setting | IoU |\n|---|---|")
    papers = measure(renders, SamplingConfig().top_k, CutConfig(thresholds="paper"))
    print(f"| the paper's numbers | {papers:.3f} |")
    for change in CHANGES:
        values = {"top_k": PRESET["sampling"]["top_k"], **PRESET["cut"], **change}
        score = measure(renders, values.pop("top_k"), CutConfig.model_validate(values))
        print(f"| {', '.join(f'{k} {v}' for k, v in change.items()) or 'the preset'} | {score:.3f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 48, sys.argv[2] if len(sys.argv) > 2 else "pocket")
