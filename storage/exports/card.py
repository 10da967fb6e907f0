"""The files beside the data in every format: the table of samples, the config that builds them, and the dataset card.

Classes, prompts and names are untrusted text: quoted in CSV and YAML, escaped in markdown.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from storage.dataset.reader import Dataset
from storage.exports.boxes import boxes_of
from storage.exports.formats.base import Format
from storage.exports.plan import Plan
from storage.text import escape

TABLE, CONFIG, CARD = "samples.csv", "config.yaml", "README.md"
BOX = ["x0", "y0", "x1", "y1"]  # of all pixels of the mask, ends exclusive
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write_table(folder: Path, plan: Plan, dataset: Dataset) -> pd.DataFrame:
    """Write samples.csv, one row per sample, split by split: index, split, and the dataset's table."""
    rows = [index for indices in plan.splits.values() for index in indices]
    frame = dataset.frame().loc[rows].drop(columns=["status", "reason"])
    frame.insert(0, "split", [name for name, indices in plan.splits.items() for _ in indices])
    boxes = pd.DataFrame(boxes_of(dataset, rows), index=frame.index, columns=BOX)
    frame = frame.drop(columns="box").join(boxes)
    frame.to_csv(folder / TABLE, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8")
    return frame


def write_config(folder: Path, plan: Plan) -> None:
    """Write config.yaml, which `maskmill build --config` reads."""
    text = yaml.safe_dump(plan.config, allow_unicode=True, sort_keys=False)
    (folder / CONFIG).write_text(text, encoding="utf-8")


def write_card(folder: Path, plan: Plan, form: Format, counts: Counter[str]) -> None:
    """Write README.md: content, layout, loading and origin of the data; its head is for the Hugging Face hub."""
    head = yaml.safe_dump(_head(plan), allow_unicode=True, sort_keys=False)
    (folder / CARD).write_text(f"---\n{head}---\n\n" + "\n".join(_body(plan, form, counts)) + "\n", encoding="utf-8")


def _head(plan: Plan) -> dict[str, Any]:
    head: dict[str, Any] = {
        "pretty_name": " ".join(plan.name.split()),
        "task_categories": ["image-segmentation"],
        "tags": ["synthetic", "maskmill"],
        "size_categories": [next((name for limit, name in SIZES if len(plan) < limit), "n>10M")],
    }
    if plan.format == "hf":
        files = [{"split": name, "path": f"data/{name}-*.parquet"} for name in plan.splits]
        head["configs"] = [{"config_name": "default", "data_files": files}]
    return head


def _body(plan: Plan, form: Format, counts: Counter[str]) -> list[str]:
    height, width = plan.image_size
    notes = [f"- {count} {what}" for what, count in counts.items() if count]
    return [
        f"# {escape(plan.name)}",
        "",
        f"{len(plan)} images with the mask of one object each, {width} x {height} pixels. {_drawn(plan)} "
        f"maskmill made images and masks with the text-to-image model "
        f"{escape(plan.config.get('backbone', 'unknown'))} and screened them.",
        "",
        "| split | samples |",
        "|---|---|",
        *(f"| {name} | {len(indices)} |" for name, indices in plan.splits.items()),
        "",
        f"{escape(form.title)}: {form.losses}",
        *(["", *notes] if notes else []),
        "",
        "```python",
        form.loading.replace("SPLIT", next(iter(plan.splits))),
        "```",
        "",
        "`samples.csv` has a row for each sample: its index, split, class, prompt, seed, scores and box.",
        "",
        "## How to build it again",
        "",
        f"With maskmill {escape(plan.maskmill_version)}:",
        "",
        "```",
        f"maskmill build --config {CONFIG} --out dataset",
        f"maskmill export dataset --format {plan.format} --split {plan.split} --seed {plan.seed} --out export",
        "```",
        "",
        f"This is version {escape(plan.version)} of the dataset, exported by maskmill {escape(plan.exported_by)}.",
        "",
        "## Classes",
        "",
        "| label | class |",
        "|---|---|",
        *(f"| {label} | {escape(name)} |" for label, name in enumerate(plan.classes)),
    ]


def _drawn(plan: Plan) -> str:
    return f"A person mended {plan.mended} of the masks;" if plan.mended else "No person drew the masks:"
