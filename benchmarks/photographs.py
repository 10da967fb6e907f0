"""Segmenters trained from scratch on real photographs with human masks: DUTS-TR's for training, ECSSD's for measuring.

Everything is done by the flows behind `maskmill train` and `maskmill evaluate`, so all of it resumes: run again, the
benchmark goes on where it was stopped. What is trained stays in runs/, which git ignores.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.intervals import mean_interval
from flows.evaluate import evaluate
from flows.train import train
from models.trainconfig import SEGMENTERS
from tasks.evaluating import evaluation_of

TRAINING, MEASURED = "DUTS-TR", "ECSSD"
BASELINE = {"encoder": "resnet18", "size": 128, "epochs": 5, "batch_size": 16, "schedule": "cosine"}
# Run -> segmenter, its configuration
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("unet", BASELINE),
    "deeplabv3": ("deeplabv3", BASELINE),
    "unet-third": ("unet", BASELINE | {"limit": 900}),
    "unet-ninth": ("unet", BASELINE | {"limit": 300}),
}
SCORES = {"acc": "Acc", "f_max": "maxF", "mae": "MAE", "s": "S", "e_max": "maxE", "weighted_f": "wF"}
COLUMNS = ["segmenter", "pairs", "IoU [95 % interval]", *SCORES.values()]


def run(folder: Path, photos: Path) -> dict[str, Any]:
    """Train every run in `folder` on photos/DUTS-TR and score it on photos/ECSSD; returns the table."""
    data, benchmarks = photos / TRAINING, {MEASURED: photos / MEASURED}
    for name, (segmenter, values) in RUNS.items():
        train(SEGMENTERS[segmenter](**values), data, folder / name, layout=TRAINING)
    out = folder / "scores"
    evaluate([folder / name for name in RUNS], benchmarks, out)
    images = pd.read_parquet(out / "images.parquet")
    rows = []
    for name in RUNS:
        found = evaluation_of(folder / name, MEASURED, benchmarks[MEASURED], out)
        iou = mean_interval(images.query("run == @name")["iou"].to_numpy())
        rows.append([name, str(found.training), iou, *(found.summary[score] for score in SCORES)])
    note = (
        f"All from random weights, {BASELINE['encoder']}, squares of {BASELINE['size']} pixels, {BASELINE['epochs']} "
        f"epochs whatever the number of pairs; a tenth of {TRAINING} is held out. The intervals are of the photographs "
        "measured on, not of another training."
    )
    title = f"Trained on {TRAINING}, measured on {MEASURED}"
    return {
        "count": len(images) // len(RUNS),
        "source": "photographs measured on",
        "tables": [{"title": title, "columns": COLUMNS, "rows": rows, "note": note}],
        "verdicts": {},
    }
