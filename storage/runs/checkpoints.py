"""Weights and training states in a run folder, each written to a temporary name and renamed; none is a pickle.

`state.pt` is what a killed training goes on from (read by weights_only), `best.safetensors` the weights of the best
validation, which predict. The folder's description is in storage/runs/folder.py.
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
    """Save a training's state, and first its weights as the best ones where they are, so that no kill loses them."""
    if better:
        weights = {name: value.contiguous() for name, value in state.get("average", state["model"]).items()}
        facts = {"segmenter": run.config.segmenter, "step": str(state["step"]), "score": repr(state["best"])}
        facts["config"] = json.dumps(run.config.identity())  # storage/runs/folder.py compares it
        with replacing(run.path / BEST) as partial:
            save_file(weights, partial, metadata=facts)
            shutil.copymode(run.path / FILE, partial)  # safetensors leaves it to its owner alone
    save_state(run.path / STATE, state)


def load_state(run: RunFolder, network: torch.nn.Module) -> dict[str, Any] | None:
    """The state to go on from, on the network's device; None where there is none, UserError for another network's."""
    path = run.path / STATE
    if not path.exists():
        return None
    device = next(network.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        wrong = misfits(state["model"], network.state_dict())
    except Exception:  # of torch, pickle and zipfile, which have no error in common
        # Without torch's text, which advises to unpickle it.
        raise UserError(
            f"{path}: cannot be read as a training's state; restore it, or remove it to train anew"
        ) from None
    if wrong:
        raise _not_of(path, run, wrong)
    return state


def load_segmenter(run: str | Path, device: str = "auto", **overrides: Any) -> Segmenter:
    """The trained segmenter of a run folder: `.predict(images)` makes (H, W) float32 in [0, 1] of each (H, W, 3) uint8.

    `overrides` replace fields that predictions alone depend on, as in tta=True. UserError for other fields,
    for a folder without its configuration or its weights, and for weights of another segmenter or run.
    """
    return load_run(open_run(run, {"run": {"device": device}} | overrides))


def load_run(folder: RunFolder) -> Segmenter:
    """The same by an opened run's own configuration."""
    weights_facts(folder)
    segmenter = segmenter_of(folder.config.as_trained())
    segmenter.network.load_state_dict(_weights(folder, segmenter.network.state_dict()))
    segmenter.network.eval()
    return segmenter


def _weights(folder: RunFolder, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The best weights, if they have the names and shapes of the network's."""
    found = load_file(folder.path / BEST)
    if wrong := misfits(found, expected):
        raise _not_of(folder.path / BEST, folder, wrong)
    return found


def _not_of(file: Path, run: RunFolder, wrong: list[str]) -> UserError:
    return UserError(
        f"{file}: expected weights of the network that {FILE} describes ({run.config.label()}), got {len(wrong)} "
        f"tensors that do not fit: {', '.join(wrong[:3])}; restore the run's own"
    )


class Log:
    """The training's rows as JSON lines, and for TensorBoard where asked; a resumed run drops what it will do again."""

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
    """A row's step; infinite for what is no row, as a line that a kill has cut."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
