"""The training loop: killed and resumed equals unbroken, to the bit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.fitting import Loss, Training, fit

TRAINING = Training(steps=30, batch_size=8, learning_rate=1e-2, warm_up=5, save_every=10)


def regression(model: nn.Module, dies_at: int | None = None) -> Loss:
    """A noisy regression with dropout; raises at one step, as a kill would."""

    def loss_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        if step == dies_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.normal(size=(8, 4)).astype(np.float32))
        return (model(x)[:, 0] - x.sum(1)).pow(2).mean()

    return loss_of


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.SiLU(), nn.Linear(16, 1))


@pytest.mark.parametrize("dies_at", [3, 10, 27])
def test_resumed_equals_unbroken(tmp_path: Path, dies_at: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    model = network()
    expected = fit("net", model, regression(model), TRAINING, whole, seed=3).state_dict()
    model = network()
    with pytest.raises(KeyboardInterrupt):
        fit("net", model, regression(model, dies_at), TRAINING, broken, seed=3)
    model = network()
    found = fit("net", model, regression(model), TRAINING, broken, seed=3).state_dict()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_a_finished_training_is_not_run_again(tmp_path: Path) -> None:
    model = network()
    first = fit("net", model, regression(model), TRAINING, tmp_path, seed=3).state_dict()
    model = network()
    again = fit("net", model, regression(model, dies_at=0), TRAINING, tmp_path, seed=3).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_losses_are_logged_and_fall(tmp_path: Path) -> None:
    model = network()
    long = Training(steps=400, batch_size=8, learning_rate=1e-2, warm_up=5, save_every=400)
    fit("net", model, regression(model), long, tmp_path, seed=3)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "net.jsonl").read_text().splitlines()]
    assert len(losses) == 8 and losses[-1] < 0.5 * losses[0]
