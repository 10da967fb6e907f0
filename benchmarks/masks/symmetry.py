"""Which direction of A_s separates object from background in r(p): its columns at the seeds, its rows, or their mean.

`python -m benchmarks.masks.symmetry [COUNT]` prints the table of docs/decisions/evidence.md, on inverted renders of
seed 1.
"""

import sys

import numpy as np

from benchmarks.masks.pocket import batches
from models.backbone.attention import record_attention
from models.backbone.inversion import invert
from models.backbone.load import load_backbone
from models.backbone.sampling import denoise
from models.backbone.tokens import category_span
from models.config.backbone import BACKBONE_PRESETS
from models.cut.seeds import boundary_cells, mean_of_top, normalise
from models.pocket.scenes import render

STEPS = 40
TAUS = (0.16, 0.5, 0.6, 0.7)
SIDE = 16  # cells along pocket's attention grid


def capture(count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A_c (16, 16) and the whole A_s (256, 256) of each inverted render, with the object's cells (256,) bool."""
    backbone, renders = load_backbone("pocket"), []
    top_k = BACKBONE_PRESETS["pocket"]["sampling"]["top_k"]
    for part in batches([render(1, i) for i in range(count)], "inverted"):
        captions = [scene.caption for scene in part]
        latents = invert(backbone, np.stack([scene.image for scene in part]), captions, STEPS)
        spans = [category_span(backbone.tokenizer, scene.caption, scene.category) for scene in part]
        text = backbone.encode_text(captions)
        with record_attention(backbone, (SIDE, SIDE), spans, text.tokens.shape[1], "full") as record:
            denoise(backbone, latents, text, None, STEPS, 1.0)
        for i, scene in enumerate(part):
            share = scene.mask.reshape(SIDE, 8, SIDE, 8).mean((1, 3)).ravel()
            renders.append((mean_of_top(record.layer_maps(i), top_k), record.self_attention(i), share > 0.5))
    return renders


def area_under_curve(score: np.ndarray, truth: np.ndarray) -> float:
    """Probability that a cell of the object scores higher than a cell of the background."""
    return float((score[truth][:, None] > score[~truth][None]).mean())


def best_iou(score: np.ndarray, truth: np.ndarray) -> float:
    """IoU with the object's cells at the best threshold for this picture."""
    return max(((score >= t) & truth).sum() / ((score >= t) | truth).sum() for t in np.unique(score))


def main(count: int) -> None:
    """Print the table of docs/decisions/evidence.md."""
    renders = capture(count)
    print("| tau | columns | rows | mean |\n|---|---|---|---|")
    for tau in TAUS:
        scores: dict[str, list[tuple[float, float]]] = {"columns": [], "rows": [], "mean": []}
        for class_map, attention, truth in renders:
            seeds = boundary_cells(normalise(class_map), tau)
            ways = attention[:, seeds].mean(1), attention[seeds].mean(0)
            for name, refined in zip(scores, (*ways, (ways[0] + ways[1]) / 2), strict=True):
                scores[name].append((area_under_curve(refined, truth), best_iou(refined, truth)))
        cells = (" / ".join(f"{v:.2f}" for v in np.mean(pairs, axis=0)) for pairs in scores.values())
        print(f"| {tau} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 48)
