"""Quality of pocket's samples and masks by scheduler and number of steps: the same prompts and noise, judged alike.

A sampled image's truth is only the judges' estimate; `maskmill bench pocket` has their error. Before screening.
"""

from typing import Any

import numpy as np

from benchmarks.intervals import mean_interval
from benchmarks.masks.cut import iou
from benchmarks.masks.pocket import BATCH, batches
from models.backbone.load import load_backbone
from models.backbone.sampling import sample_batched
from models.config.build import BuildConfig
from models.cut.attentioncut import cut
from models.pocket import judges
from models.pocket.scenes import CLASSES
from models.prompts.grammar import Grammar

SEED = 3
ROWS: list[dict[str, Any]] = [
    {"steps": 40},
    {"steps": 10, "spacing": "trailing"},
    {"scheduler": "dpm++", "steps": 20, "spacing": "linspace"},
    {"scheduler": "dpm++", "steps": 10, "spacing": "linspace"},
    {"scheduler": "dpm++", "steps": 4, "spacing": "trailing"},
    {"scheduler": "euler", "steps": 20, "spacing": "linspace"},
]


def run(count: int = 100) -> dict[str, Any]:
    """Measure `count` samples in each row; returns a table for docs/benchmarks.md."""
    rows = [[*_setting(row), *_measured(row, count)] for row in ROWS]
    columns = [
        "scheduler",
        "steps",
        "spacing",
        "classifier recognises the class",
        "AttentionCut IoU against the oracle",
    ]
    note = "In brackets the 95 % interval over samples. All rows have the preset's guidance of 3 and the same noise."
    table = {"title": "Samples and masks by scheduler and steps", "columns": columns, "rows": rows, "note": note}
    return {"count": count, "source": "samples a row", "tables": [table], "verdicts": {}}


def _setting(row: dict[str, Any]) -> list[str]:
    return [row.get("scheduler", "ddim"), str(row["steps"]), row.get("spacing", "leading")]


def _measured(row: dict[str, Any], count: int) -> list[list[float]]:
    """Share of samples whose class the classifier recognises, and IoU of mask and oracle, with their intervals."""
    backbone = load_backbone("pocket")
    config = BuildConfig.model_validate({"classes": CLASSES, "count": count, "seed": SEED, "sampling": row})
    grammar = Grammar.of(config, backbone.facts.taught)
    recognised, ious = [], []
    for part in batches([grammar.plan(i) for i in range(count)], " ".join(_setting(row))):
        prompts, categories, seeds = (
            list(each) for each in zip(*((s.prompt, s.category, s.seed) for s in part), strict=True)
        )
        samples = sample_batched(backbone, prompts, categories, seeds, config.sampling, config.cut, BATCH)
        images = np.stack([sample.image for sample in samples])
        recognised += [a == b for a, b in zip(judges.classify(images), categories, strict=True)]
        truths = judges.segment(images, categories)
        ious += [iou(cut(s.image, s.evidence, config.cut).mask, m) for s, m in zip(samples, truths, strict=True)]
    return [mean_interval(np.array(values, float)) for values in (recognised, ious)]
