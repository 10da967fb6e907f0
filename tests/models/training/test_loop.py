"""The training loop: killed and resumed equals unbroken, to the bit."""

import copy
import dataclasses
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.training.loop import Loss, Run, fit, hash_seed, mixed_precision, train
from models.training.schedule import Training, pace_at
from tests.models.training import two_processes

TRAINING = Training(steps=30, batch_size=8, learning_rate=1e-2, warmup_steps=5, save_every=10)


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
    long = Training(steps=400, batch_size=8, learning_rate=1e-2, warmup_steps=5, save_every=400)
    fit("net", model, regression(model), long, tmp_path, seed=3)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "net.jsonl").read_text().splitlines()]
    assert len(losses) == 8 and losses[-1] < 0.5 * losses[0]


# From here on, training from numbered batches with validation.


def batches(start: int) -> Iterator[torch.Tensor]:
    """Batch n holds what generator n gives."""
    return (torch.from_numpy(np.random.default_rng(n).normal(size=(8, 4)).astype("f4")) for n in itertools.count(start))


def squared(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (model(x)[:, 0] - x.sum(1)).pow(2).mean()


def error(model: nn.Module) -> dict[str, float]:
    assert not model.training
    return {"score": -squared(model, next(batches(10**6))).item()}


PLAIN = Training(
    steps=24, batch_size=8, learning_rate=1e-2, warmup_steps=0, lr_schedule="constant", ema=None, max_grad_norm=None,
    save_every=5, validate_every=7,
)  # fmt: skip


class Saves(list):
    """Keeps copies of the states, as a store would; dies at the n-th."""

    def __init__(self, dies_at: int | None = None):
        self.dies_at = dies_at

    def __call__(self, state: dict, best: bool) -> None:
        if len(self) == self.dies_at:
            raise KeyboardInterrupt
        self.append((copy.deepcopy(state), best))


def run_of(training: Training, state: dict | None = None) -> Run:
    run = Run(network(), training, seed=3)
    if state:
        run.restore(copy.deepcopy(state))  # it takes the tensors for its own, as from a file
    return run


def same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("dies_at", [1, 2, 6])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_weights_optimiser_and_best_are_those_of_an_unbroken_training(dies_at: int, ema: float | None) -> None:
    training = dataclasses.replace(PLAIN, ema=ema, gradient_accumulation_steps=2, lr_schedule="cosine")
    whole, broken = Saves(), Saves(dies_at)
    train(run_of(training), batches, squared, whole, validate=error)
    with pytest.raises(KeyboardInterrupt):
        train(run_of(training), batches, squared, broken, validate=error)
    state = broken[-1][0]
    broken.dies_at = None
    train(run_of(training, state), batches, squared, broken, validate=error)
    assert [(s["step"], best) for s, best in broken] == [(s["step"], best) for s, best in whole]
    assert [s["step"] for s, _ in whole] == [5, 7, 10, 14, 15, 20, 21, 24]
    assert all(same(a, b) for (a, _), (b, _) in zip(whole, broken, strict=True))


def test_accumulated_batches_are_one_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout: two batches of eight in one step are one of sixteen, unless bfloat16 rounds the halves."""
    monkeypatch.setattr("models.training.loop.mixed_precision", lambda device: nullcontext())

    def plain() -> Run:
        torch.manual_seed(0)
        return Run(nn.Linear(4, 1), training, seed=0)

    def doubled(start: int) -> Iterator[torch.Tensor]:
        source = batches(2 * start)
        return (torch.cat([x, next(source)]) for x in source)

    training = dataclasses.replace(PLAIN, gradient_accumulation_steps=2)
    halves = plain()
    train(halves, batches, squared, Saves())
    training = PLAIN
    wholes = plain()
    train(wholes, doubled, squared, Saves())
    for a, b in zip(halves.model.parameters(), wholes.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_without_decay_clipping_and_warm_up_it_is_adam() -> None:
    run = run_of(dataclasses.replace(PLAIN, weight_decay=0.0))
    model = network()
    train(run, batches, squared, Saves())
    optimiser, source = torch.optim.Adam(model.parameters(), lr=1e-2), batches(0)
    for step in range(PLAIN.steps):
        torch.manual_seed(hash_seed(3, step))
        optimiser.zero_grad()
        with mixed_precision(torch.device("cpu")):
            loss = squared(model, next(source))
        loss.backward()
        optimiser.step()
    for a, b in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_training_stops_once_no_validation_is_better() -> None:
    """Best, then two that are worse: patience 2 ends it there, and a resumed one does no more."""
    scores = iter([0.2, 0.5, 0.4, 0.3, 0.9])
    training = dataclasses.replace(PLAIN, steps=100, validate_every=2, patience=2, save_every=100)
    saves, run = Saves(), run_of(training)
    train(run, batches, squared, saves, validate=lambda model: {"score": next(scores)})
    assert [(s["step"], best) for s, best in saves] == [(2, True), (4, True), (6, False), (8, False)]
    again = run_of(training, saves[-1][0])
    assert again.is_done and again.best == 0.5
    assert not run_of(dataclasses.replace(training, patience=3), saves[-1][0]).is_done


def test_validation_sees_the_average_and_training_does_not() -> None:
    seen: list[dict[str, torch.Tensor]] = []
    run = run_of(dataclasses.replace(PLAIN, steps=7, ema=0.9))

    def look(model: nn.Module) -> dict[str, float]:
        seen.append(copy.deepcopy(model.state_dict()))
        return {"score": 0.0}

    train(run, batches, squared, Saves(), validate=look)
    plain = run_of(dataclasses.replace(PLAIN, steps=7))
    train(plain, batches, squared, Saves())
    assert same(seen[0], run.average) and same(run.model.state_dict(), plain.model.state_dict())
    assert not same(seen[0], run.model.state_dict()) and run.model.training


def test_rows_tell_loss_pace_and_figures() -> None:
    rows: list[dict[str, float]] = []
    train(run_of(dataclasses.replace(PLAIN, steps=100)), batches, squared, Saves(), validate=error, log=rows.append)
    assert [row["step"] for row in rows if "score" not in row] == [50]
    assert [row["step"] for row in rows if "score" in row] == [*range(7, 99, 7), 100]
    assert rows[-1]["loss"] < rows[0]["loss"] and rows[0]["learning_rate"] == 1e-2


def test_parameters_with_a_factor_learn_at_their_own_rate():
    model = network()
    plain, fast = (
        Run(copy.deepcopy(model), TRAINING, 0),
        Run(model, dataclasses.replace(TRAINING, rates={"3.": 10.0}), 0),
    )
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for run in (plain, fast):
        run.model.train()
        run.advance(run.model, itertools.repeat(x), lambda forward, x: forward(x).pow(2).mean())
    for name, value in before.items():
        moved, expected = (run.model.state_dict()[name] - value for run in (fast, plain))
        assert torch.allclose(moved, expected * (10 if name.startswith("3.") else 1), rtol=0.02, atol=1e-7), name


def test_the_stepped_schedule_is_that_of_diffdis():
    course = dataclasses.replace(TRAINING, lr_schedule="stepped", warmup_steps=0, epoch=2)
    rate, expected = 1.0, []
    for epoch in range(90):
        rate *= 0.95 ** (epoch // 30)
        expected += [rate, rate]
    assert [pace_at(step, course) for step in range(180)] == pytest.approx(expected)
    assert expected[-1] == pytest.approx(0.0099, abs=0.0002)


def test_a_loss_that_is_no_number_names_its_samples_and_leaves_the_weights():
    run = Run(network(), TRAINING, 0)
    before = copy.deepcopy(run.model.state_dict())
    batches = itertools.repeat({"index": torch.tensor([7, 11])})
    with pytest.raises(ValueError, match=r"the loss is nan at step 1 on sample 7, sample 11;"):
        run.advance(run.model, batches, lambda forward, _: forward(torch.full((2, 4), torch.nan)).mean())
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())


def test_of_photos_a_wrong_one_is_named_by_its_path():
    batches = itertools.repeat({"index": torch.tensor([7]), "photo": ["photos/x.png"]})
    run = Run(network(), TRAINING, 0)
    with pytest.raises(ValueError, match=r"at step 1 on photos/x.png;"):
        run.advance(run.model, batches, lambda forward, _: forward(torch.full((2, 4), torch.nan)).mean())


def test_weights_that_a_step_makes_no_numbers_are_not_saved():
    """The loss and its gradient are fine in every step; the second step's weights are past float32."""
    model, saved = nn.Linear(1, 1, bias=False), []
    nn.init.constant_(model.weight, -3.1e38)
    course = Training(
        4, 1, 2e37, weight_decay=0, warmup_steps=0, lr_schedule="constant", ema=None, max_grad_norm=None, save_every=1
    )
    run = Run(model, course, 0)
    with pytest.raises(ValueError, match="the weights contain NaN or inf after step 2; earlier saved states are kept"):
        train(
            run, lambda start: itertools.repeat(None), lambda forward, _: forward(torch.ones(1, 1)).sum(),
            lambda state, better: saved.append(state["step"]),
        )  # fmt: skip
    assert saved == [1]


def test_of_several_batches_of_a_step_the_wrong_one_is_named():
    run = Run(network(), dataclasses.replace(TRAINING, gradient_accumulation_steps=3), 0)
    batches = iter([{"index": torch.tensor([i]), "x": torch.full((2, 4), [0.0, torch.nan, 0.0][i])} for i in range(3)])
    with pytest.raises(ValueError, match=r"the loss is nan at step 1 on sample 1;"):
        run.advance(run.model, batches, lambda forward, batch: forward(batch["x"]).mean())


def test_a_gradient_that_is_no_number_leaves_the_weights_whatever_the_loss():
    run = Run(network(), dataclasses.replace(TRAINING, max_grad_norm=None), 0)
    before = copy.deepcopy(run.model.state_dict())

    def loss_of(forward, _):
        return (forward(torch.ones(2, 4)) * 0).abs().sqrt().sum()  # 0, and its slope infinite

    with pytest.raises(ValueError, match="a gradient is NaN or inf at step 1;"):
        run.advance(run.model, itertools.repeat(None), loss_of)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())


def in_two_processes(out: Path, *arguments: object) -> list[dict]:
    """What tests/models/two_processes.py leaves of each process."""
    script = Path(two_processes.__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, out]
    environment = os.environ | {"PYTHONPATH": str(script.parents[3])}
    done = subprocess.run(
        [str(a) for a in (*command, *arguments)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one_on_all_their_batches_and_one_saves(tmp_path):
    first, second = in_two_processes(tmp_path)
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in first["weights"])
    assert first["best"] == second["best"] == 0 and first["saved"] == [1, 2, 3, 4, 5] and not second["saved"]
    own = two_processes.TRAINING
    run = Run(
        two_processes.network(),
        dataclasses.replace(own, gradient_accumulation_steps=2 * own.gradient_accumulation_steps),
        seed=0,
    )
    batches = (
        two_processes.batch(n, rank) for n in range(own.steps * own.gradient_accumulation_steps) for rank in (0, 1)
    )
    train(run, lambda start: batches, two_processes.squared, lambda *_: None)
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(first["weights"][name], value)


@pytest.mark.slow
def test_a_loss_of_one_process_that_is_no_number_stops_both_before_anything_is_saved(tmp_path):
    both = in_two_processes(tmp_path, 2)
    assert ["at step 3" in each["error"] for each in both] == [True, True]
    assert both[0]["saved"] == [1, 2] and all(value.isfinite().all() for value in both[0]["weights"].values())
