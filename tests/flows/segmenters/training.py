"""What tests of training through the command line share: the call, a kill after a step, and two runs compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import models.training.loop
from maskmill.cli import app
from storage.runs.checkpoints import STATE
from storage.runs.folder import BEST


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def dies_after(step: int) -> Callable[[Path, dict[str, Any]], None]:
    """In place of `storage.runs.checkpoints.save_state`: saves, and after that step is as good as killed."""

    def save(path: Path, state: dict[str, Any]) -> None:
        models.training.loop.save_state(path, state)
        if state["step"] == step:
            raise KeyboardInterrupt

    return save


def assert_same_weights(one: Path, other: Path) -> None:
    """Two run folders' best weights and states are equal to the bit."""
    for name in (BEST, STATE):
        read = load_file if name == BEST else lambda path: torch.load(path, weights_only=True)["model"]
        expected, found = read(one / name), read(other / name)
        assert expected.keys() == found.keys() and all(torch.equal(expected[k], found[k]) for k in expected)
