"""Segmenters trained on real photographs with human masks: trained on DUTS-TR, measured on ECSSD.

The flows of `maskmill train` and `maskmill evaluate` do the work, so a stopped benchmark resumes when it is run again.
The trained runs stay in runs/, which git ignores.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.intervals import mean_interval
from flows.evaluate import evaluate
from flows.train import train
from models.segmenters.registry import SEGMENTERS
from storage.sources import Source
from tasks.evaluating import evaluation_of

SIZE, EPOCHS, THIRD = 128, 5, 900  # pixels; epochs over all pairs or a third of them; pairs in a third
TRAINING, MEASURED = "DUTS-TR", "ECSSD"
BASELINE = {"encoder": "resnet18", "size": SIZE, "epochs": EPOCHS, "batch_size": 16, "lr_schedule": "cosine"}
LATENT = {
    "size": SIZE,
    "epochs": EPOCHS,
    "lr_schedule": "cosine",
    "limit": THIRD,
}  # other values are the defaults with pocket
# Run -> segmenter, its configuration
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("unet", BASELINE),
    "deeplabv3": ("deeplabv3", BASELINE),
    "unet-third": ("unet", BASELINE | {"limit": THIRD}),
    "unet-ninth": ("unet", BASELINE | {"limit": 300}),
    "diffdis-third": ("diffdis", LATENT),
    "sod-diffusion-third": ("sod-diffusion", LATENT),
}
OF_SUPERVISION = ("unet", "deeplabv3", "unet-third", "unet-ninth")  # the runs of `maskmill bench photographs`
OF_THIRD = ("unet-third", "diffdis-third", "sod-diffusion-third")  # those of `maskmill bench photographs-third`
SCORES = {"acc": "Acc", "f_max": "maxF", "mae": "MAE", "s": "S", "e_max": "maxE", "weighted_f": "wF"}
COLUMNS = ["segmenter", "pairs", "IoU [95 % interval]", *SCORES.values()]


def run(folder: Path, photos: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Train the named runs in `folder` on photos/DUTS-TR and score them on photos/ECSSD; returns the table."""
    data, benchmarks = photos / TRAINING, {MEASURED: photos / MEASURED}
    for name in names:
        segmenter, values = RUNS[name]
        train(SEGMENTERS[segmenter](**values), Source(path=data, layout=TRAINING), folder / name)
    out = folder / "scores"
    evaluate([folder / name for name in names], benchmarks, out)
    images = pd.read_parquet(out / "images.parquet")
    rows = []
    for name in names:
        evaluation = evaluation_of(folder / name, MEASURED, benchmarks[MEASURED], out)
        iou = mean_interval(images.query("run == @name")["iou"].to_numpy())
        rows.append([name, str(evaluation.training), iou, *(evaluation.summary[score] for score in SCORES)])
    title = f"Trained on {TRAINING}, measured on {MEASURED}"
    return {
        "count": images["name"].nunique(),
        "source": "photographs measured on",
        "tables": [{"title": title, "columns": COLUMNS, "rows": rows, "note": note(names)}],
        "verdicts": {},
    }


def note(names: tuple[str, ...]) -> str:
    """The table's note: what the named runs have in common, and what differs."""
    lines = [
        f"Squares of {SIZE} pixels, {EPOCHS} epochs whatever the number of pairs; a tenth of {TRAINING} is held out. "
        f"UNet and DeepLabV3 are of {BASELINE['encoder']} and random weights (14.3 and 15.9 million).",
        "The intervals are of the photographs measured on, not of another training.",
    ]
    if "diffdis-third" in names:
        lines.insert(
            1,
            "DiffDIS and SOD-diffusion (12.0 and 13.7 million weights beside a VAE of 1.7) start from pocket's, which "
            "has seen rendered scenes alone.",
        )
    return " ".join(lines)
