"""Segmenters trained on pocket's pairs with AttentionCut's masks, measured on the exact masks of renders.

The flows of `maskmill build`, `train` and `evaluate` do the work, so a stopped benchmark resumes when it is run again.
DiffusionSeg trained on the same number of renders with exact masks is the upper bound.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.intervals import Estimate, mean_interval, words
from benchmarks.masks import ablations
from benchmarks.masks.pocket import HELD_OUT_SEED
from benchmarks.rendered import rendered_dataset, rendered_folder
from flows.build import build
from flows.evaluate import evaluate
from flows.train import train
from models.config.build import BuildConfig
from models.cut.bilateral import smoothed
from models.metrics import iou
from models.pocket.scenes import CLASSES, Scene, render
from models.segmenters.registry import SEGMENTERS
from storage.dataset.reader import open_dataset
from storage.dataset.repository import BUILD
from storage.sources import Source
from tasks.evaluating import score_folder

PAIRS_SEED, RENDERS_SEED = 1, 3  # pocket's own training scenes are of seed 0
HELD_OUT, LAYOUT = 500, "folder"
SAMPLING = {"steps": 20}  # half of the paper's, for an hour less on two cores
DIFFUSIONSEG = {"epochs": 12, "lr_schedule": "cosine"}  # features of 40 steps: fewer are too few for the inversion
LATENT = {
    "epochs": 4,
    "lr_schedule": "cosine",
}  # for DiffDIS and SOD-diffusion; other values are the defaults with pocket
BASELINE = {"encoder": "resnet18", "size": 128, "epochs": 6, "batch_size": 16, "lr_schedule": "cosine"}
# Run -> training data, segmenter, its configuration
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "diffusionseg": ("pairs", "diffusionseg", DIFFUSIONSEG),
    "diffusionseg-on-renders": ("renders", "diffusionseg", DIFFUSIONSEG),
    "diffusionseg-without-prior": ("pairs", "diffusionseg", DIFFUSIONSEG | {"prior": {"clip": "none"}}),
    "diffdis": ("pairs", "diffdis", LATENT),
    "diffdis-on-renders": ("renders", "diffdis", LATENT),
    "sod-diffusion": ("pairs", "sod-diffusion", LATENT),
    "sod-diffusion-on-renders": ("renders", "sod-diffusion", LATENT),
    "unet": ("pairs", "unet", BASELINE),
    "deeplabv3": ("pairs", "deeplabv3", BASELINE),
}
FEW = ("diffusionseg", "diffusionseg-on-renders")  # the runs of `maskmill bench diffusionseg`
BARS = {
    "diffusionseg": 0.85,
    "diffusionseg-on-renders": 0.92,
    "diffdis": 0.87,
    "diffdis-on-renders": 0.93,
    "sod-diffusion": 0.87,
    "sod-diffusion-on-renders": 0.93,
}
CUT = "AttentionCut, CLIP's class"
HARDER, THIN = ("clutter", "distractor"), ("ring", "cross", "leaf")
COLUMNS = ["segmenter", "IoU [95 % interval]", "clutter, distractors", "rings, crosses, leaves", "after the solver"]

Scores = tuple[np.ndarray, np.ndarray]  # IoU of each held-out render, of the mask and of the mask smoothed; (N,) each


def run(folder: Path, count: int = 2000, names: tuple[str, ...] = tuple(RUNS)) -> dict[str, Any]:
    """Train the named runs on `count` kept pairs or renders, in `folder`; returns the table of 500 held-out renders."""
    data = {
        "pairs": kept_pairs(folder / "pairs", count),
        "renders": rendered_dataset(folder / "renders", count, RENDERS_SEED),
    }
    for name in names:
        source, segmenter, values = RUNS[name]
        train(SEGMENTERS[segmenter](**values), Source(path=data[source]), folder / name)
    photos = rendered_folder(folder / "held-out", HELD_OUT, HELD_OUT_SEED)
    evaluate([folder / name for name in names], {LAYOUT: photos}, folder / "scores")
    scenes = [render(HELD_OUT_SEED, i) for i in range(HELD_OUT)]
    scores = {name: run_scores(folder / "scores", name, scenes) for name in names} | {CUT: cut_scores(scenes)}
    harder, thin = kinds(scenes)
    rows = [[name, *by_kind(alone, scenes), mean_interval(smooth)] for name, (alone, smooth) in scores.items()]
    note = (
        "On renders, training has exact masks: that is the ceiling; without prior, features are of the empty prompt. "
        f"Of the renders, {harder.sum()} have clutter or a distractor and {thin.sum()} thin objects. The bilateral "
        "solver is the paper's post-processing (`--set bilateral=true`, `--set cut.bilateral=true`)."
    )
    title = f"IoU on {HELD_OUT} held-out renders"
    return {
        "count": count,
        "source": f"pairs or renders to train on, pairs sampled in {SAMPLING['steps']} steps",
        "tables": [{"title": title, "columns": COLUMNS, "rows": rows, "note": note}],
        "verdicts": verdicts(scores),
    }


def kept_pairs(path: Path, count: int) -> Path:
    """A dataset of pocket's samples with at least `count` kept pairs: it is extended until it has them.

    An existing dataset is extended under its stored configuration.
    """
    config = BuildConfig(classes=CLASSES, count=count, seed=PAIRS_SEED, shard_size=32, sampling=SAMPLING)
    if path.exists():
        config = BuildConfig.of_stored(open_dataset(path, BUILD).config)
    while (kept := build(config, path).kept) < count:
        config = config.model_copy(update={"count": -(-config.count * count // kept)})
    return path


def kinds(scenes: list[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each scene has clutter or a distractor, and whether it shows a thin object: (N,) bool each."""
    return np.array([s.difficulty in HARDER for s in scenes]), np.array([s.category in THIN for s in scenes])


def by_kind(values: np.ndarray, scenes: list[Scene]) -> list[Estimate]:
    """Mean and interval of the scenes' values (N,): over all, over the harder ones, over thin objects."""
    return [mean_interval(values[which]) for which in (slice(None), *kinds(scenes))]


def run_scores(evaluation: Path, name: str, scenes: list[Scene]) -> Scores:
    """The scores of a run, from its evaluation and its predictions."""
    images = pd.read_parquet(evaluation / "images.parquet").query("run == @name").sort_values("name")
    predicted, smooth = score_folder(evaluation, Path(name), LAYOUT), []
    for i, scene in enumerate(scenes):
        soft = np.asarray(Image.open(predicted.prediction_path(f"{i:04d}")))
        smooth.append(iou(smoothed(scene.image, soft > 127)[0], scene.mask))
    return images["iou"].to_numpy(), np.array(smooth)


def cut_scores(scenes: list[Scene]) -> Scores:
    """The scores of AttentionCut under the class that CLIP names."""
    seen, _ = ablations.under_clips_class(scenes, ablations.under_captions(scenes))
    smooth = ablations.PRESET.cut.model_copy(update={"bilateral": True})
    plain = ablations.measure(scenes, seen, ablations.attentioncut, "AttentionCut")
    other = ablations.measure(scenes, seen, lambda scene, each: ablations.attentioncut(scene, each, smooth), "smoothed")
    return plain[:, 0], other[:, 0]


def verdicts(scores: dict[str, Scores]) -> dict[str, str]:
    """Whether each run reaches its bar, and whether DiffusionSeg exceeds AttentionCut; alone and smoothed."""
    answers = {}
    for which, kind in enumerate(("alone", "after the solver")):
        for name, bar in ((name, bar) for name, bar in BARS.items() if name in scores):
            reached = scores[name][which].mean() >= bar
            answers[f"{name} at {bar}, {kind}"] = "reached" if reached else "**not reached**"
        ahead = mean_interval(scores["diffusionseg"][which] - scores[CUT][which])
        answers[f"diffusionseg above AttentionCut, {kind}"] = f"{'yes' if ahead[0] > 0 else 'no'}, by {words(ahead)}"
    return answers
