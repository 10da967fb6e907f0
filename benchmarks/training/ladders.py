"""The ablations of DiffDIS (Tables 3, 4 and 5) and of SOD-diffusion with pocket, trained on renders.

All rows have the same renders, epochs and seeds. The flows of `maskmill train` and `maskmill evaluate` do the work, so
a stopped benchmark resumes when it is run again.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.intervals import Estimate
from benchmarks.masks.pocket import HELD_OUT_SEED
from benchmarks.rendered import rendered_dataset, rendered_folder
from benchmarks.training.segmenters import HELD_OUT, LAYOUT, RENDERS_SEED, by_kind
from flows.evaluate import evaluate
from flows.train import train
from models.pocket.scenes import Scene, render
from models.segmenters.registry import SEGMENTERS
from storage.sources import Source

COUNT, SEEDS = 667, (0, 1)
PACE = {"epochs": 2, "lr_schedule": "cosine"}
SINGLE = {"edge": False, "dbia": "none", "swci": False, "cutmix": False}
# Benchmark -> row -> its configuration
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "diffdis": {
        "one step": SINGLE,
        "+ edge": {"dbia": "none", "swci": False, "cutmix": False},
        "+ DBIA": {"swci": False, "cutmix": False},
        "+ SWCI": {"cutmix": False},
        "+ CutMix": {},
        "one step, from scratch": SINGLE | {"start": "random"},
        "1* / 2 steps": SINGLE | {"steps": "1*/2"},
        "2 / 2 steps": SINGLE | {"steps": "2/2"},
        "1* / 10 steps": SINGLE | {"steps": "1*/10"},
        "+ DBIA, its fusion": {"dbia": "fusion", "swci": False, "cutmix": False},
    },
    "sod-diffusion": {
        "all": {},
        "without the encoder": {"swin": "none"},
        "without CBAM": {"fusion": "plain"},
        "without AFIM": {"context_projection": "none"},
        "without the auxiliary loss": {"auxiliary": 0.0},
        "as released": {"preset": "released"},
    },
}
FIXED: dict[str, dict[str, Any]] = {"diffdis": {"batch_size": 8}, "sod-diffusion": {"ensemble": 1}}
COLUMNS = ["row", "IoU [95 % interval]", "clutter, distractors", "rings, crosses, leaves", "each seed"]


def run(segmenter: str, folder: Path) -> dict[str, Any]:
    """Train every row with every seed in `folder`, and score them on 500 held-out renders; returns the table."""
    data = rendered_dataset(folder / "renders", COUNT, RENDERS_SEED)
    names = {(row, seed): f"{slug(row)}-seed{seed}" for row in ROWS[segmenter] for seed in SEEDS}
    for (row, seed), name in names.items():
        values = PACE | FIXED[segmenter] | ROWS[segmenter][row] | {"seed": seed}
        train(SEGMENTERS[segmenter](**values), Source(path=data), folder / name)
    photos = rendered_folder(folder / "held-out", HELD_OUT, HELD_OUT_SEED)
    evaluate([folder / name for name in names.values()], {LAYOUT: photos}, folder / "scores")
    images = pd.read_parquet(folder / "scores" / "images.parquet").sort_values(["run", "name"])
    scenes = [render(HELD_OUT_SEED, i) for i in range(HELD_OUT)]
    rows = [[row, *figures(images, [names[row, seed] for seed in SEEDS], scenes)] for row in ROWS[segmenter]]
    note = (
        f"Each row: {COUNT} renders, a tenth of them to validate on, {PACE['epochs']} epochs, the best validation's "
        "weights. An interval is of the means over seeds, by resampling scenes; how far seeds lie apart is in the last "
        "column. Differences smaller than that say nothing."
    )
    title = f"{segmenter}: IoU on {HELD_OUT} held-out renders"
    return {
        "count": COUNT,
        "source": f"renders to train on, seeds {', '.join(map(str, SEEDS))}",
        "tables": [{"title": title, "columns": COLUMNS, "rows": rows, "note": note}],
        "verdicts": {},
    }


def figures(images: pd.DataFrame, runs: list[str], scenes: list[Scene]) -> list[Estimate | str]:
    """A row's mean IoU over its runs: on all scenes, on the harder ones, on thin objects; and that of each run."""
    ious = np.stack([images.query("run == @name")["iou"].to_numpy() for name in runs])  # (seeds, scenes)
    apart = ", ".join(f"{value:.3f}" for value in ious.mean(axis=1))
    return [*by_kind(ious.mean(axis=0), scenes), apart]


def slug(row: str) -> str:
    """A row's name as a folder name."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in row).split())
