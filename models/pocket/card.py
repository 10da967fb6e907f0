"""pocket's model card, rendered from training.json (by the export) and figures.json (by `maskmill bench pocket`).

Knows nothing of how either file is made.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

INTRODUCTION = """\
# pocket

A small text-to-image latent diffusion backbone with Stable Diffusion's parts and topology, trained by maskmill on
scenes it renders itself (`models/pocket/scenes.py`): 128x128 images of twelve classes. Beside it a small CLIP, used
for screening, and two judges, a classifier and a class-conditional segmenter, used for measuring only.

It draws nothing but such scenes. Its licence is the project's, GPL-3.0-or-later. No photograph was seen in training.
"""


def write_card(folder: Path) -> None:
    """Write README.md into a weights folder from the folder's two JSON files."""
    training = json.loads((folder / "training.json").read_text())
    figures = folder / "figures.json"
    parts = [INTRODUCTION, _training(training)]
    parts.append(_figures(json.loads(figures.read_text())) if figures.exists() else "## Figures\n\nNot measured yet.\n")
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def stage_facts(log: Path, steps: int, batch_size: int) -> dict[str, Any]:
    """Steps, batch size, final loss and seconds of one network's training, from its log of JSON lines.

    The log's clock starts at 0 again when the training resumes.
    """
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    clock = [line["seconds"] for line in lines]
    ends = [now for now, following in pairwise([*clock, -1]) if following < now]
    return {
        "steps": steps,
        "batch_size": batch_size,
        "loss": lines[-1]["loss"] if lines else None,
        "seconds": sum(ends),
    }


def _training(training: dict[str, Any]) -> str:
    """The table of the networks trained, preceded by that of the weights they started from, if any."""
    rows = [
        f"| {name} | {facts['steps']} | {facts['batch_size']} | {facts['loss']} | {facts['seconds'] / 60:.0f} |"
        for name, facts in training["networks"].items()
    ]
    text = "\n".join(
        [
            f"`{training['command']}`: seed {training['seed']}, {training['scenes']} scenes, {training['hardware']}.\n",
            "| network | steps | batch | loss | minutes |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
    if "before" not in training:
        return "## Training\n\n" + text
    return f"{_training(training['before'])}\nThen, from those weights, {text}"


def _figures(record: dict[str, Any]) -> str:
    rows = [f"| {name} | {value:.4g} | {record['bars'].get(name, '')} |" for name, value in record["figures"].items()]
    return "\n".join(
        [
            "## Figures\n",
            f"`{record['command']}`, {record['hardware']}: {record['count']} held-out renders and as many samples.\n",
            "| figure | measured | to reach |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
