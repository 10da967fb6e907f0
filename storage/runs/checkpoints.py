"""Weights and checkpoints in a run folder, each written to a temporary name and renamed; nothing is unpickled.

A killed training resumes from `state.pt` (read with weights_only). `best.safetensors` has the weights of the best
validation, which are used for predictions. The folder's description is in storage/runs/folder.py.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from models.errors import UserError
from models.segmenters.protocol import Segmenter
from models.segmenters.registry import segmenter_of
from models.training.loop import save_state
from models.training.weights import misfits
from storage.atomic import replacing
from storage.runs.folder import BEST, FILE, RunFolder, open_run, weights_facts

STATE, LOG = "state.pt", "log.jsonl"


def save_checkpoint(run: RunFolder, state: dict[str, Any], better: bool) -> None:
    """Save a training's state; if it is the `better` one, save its weights as the best first, so no kill loses them."""
    if better:
        weights = {name: value.contiguous() for name, value in state.get("average", state["model"]).items()}
        facts = {"segmenter": run.config.segmenter, "step": str(state["step"]), "score": repr(state["best"])}
        facts["config"] = json.dumps(run.config.identity())  # storage/runs/folder.py compares it
        with replacing(run.path / BEST) as partial:
            save_file(weights, partial, metadata=facts)
            shutil.copymode(run.path / FILE, partial)  # safetensors makes it readable by its owner alone
    save_state(run.path / STATE, state)


def load_state(run: RunFolder, network: torch.nn.Module) -> dict[str, Any] | None:
    """The state to resume from, on the network's device; None if there is none.

    UserError if it cannot be read or belongs to another network.
    """
    path = run.path / STATE
    if not path.exists():
        return None
    device = next(network.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        wrong = misfits(state["model"], network.state_dict())
    except Exception:  # from torch, pickle and zipfile, which share no base error
        # Without torch's message, which advises to unpickle the file.
        raise UserError(
            f"{path}: cannot be read as a training's state; restore it, or remove it to train again"
        ) from None
    if wrong:
        raise _not_of(path, run, wrong)
    return state


def load_segmenter(run: str | Path, device: str = "auto", **overrides: Any) -> Segmenter:
    """The trained segmenter of a run folder: `.predict(images)` maps each (H, W, 3) uint8 to (H, W) float32 in [0, 1].

    `overrides` replace fields that only predictions depend on, as in tta=True. UserError for other fields,
    for a folder without a configuration or weights, and for weights of another segmenter or run.
    """
    return load_run(open_run(run, {"run": {"device": device}} | overrides))


def load_run(folder: RunFolder) -> Segmenter:
    """`load_segmenter` of an opened run, with the run's configuration."""
    weights_facts(folder)
    segmenter = segmenter_of(folder.config.as_trained())
    segmenter.network.load_state_dict(_weights(folder, segmenter.network.state_dict()))
    segmenter.network.eval()
    return segmenter


def _weights(folder: RunFolder, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The best weights; UserError if their names and shapes are not those of the network."""
    weights = load_file(folder.path / BEST)
    if wrong := misfits(weights, expected):
        raise _not_of(folder.path / BEST, folder, wrong)
    return weights


def _not_of(file: Path, run: RunFolder, wrong: list[str]) -> UserError:
    return UserError(
        f"{file}: expected weights of the network that {FILE} describes ({run.config.label()}), got {len(wrong)} "
        f"tensors that do not fit: {', '.join(wrong[:3])}; restore the run's file"
    )


class Log:
    """The training's log as JSON lines, and for TensorBoard if configured; a resumed run drops the steps it repeats."""

    def __init__(self, run: RunFolder, step: int):
        self.path = run.path / LOG
        kept = [line for line in self._lines() if _step_of(line) <= step]
        with replacing(self.path) as partial:
            partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.board = None
        if run.config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(run.path / "tensorboard"), purge_step=step + 1)

    def __call__(self, row: dict[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({k: round(v, 6) for k, v in row.items()}) + "\n")
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, int(row["step"]))
            self.board.flush()

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else []


def _step_of(line: str) -> float:
    """A row's step; infinite if the line is not a row, such as one cut off by a kill."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
