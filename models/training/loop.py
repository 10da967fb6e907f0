"""One resumable training loop for every network: it takes a model, a loss and batches, and knows no data and no store.

A step depends on earlier steps only through the weights and the optimizer state: its random numbers are seeded by
(seed, step), its batch is selected by its number, and its learning rate is a function of the step. So the saved state
is small, and a training that is killed and resumed sees the same batches and the same noise as an uninterrupted one.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.atomic import replacing
from models.errors import UserError
from models.hardware import keep_freed_memory
from models.training.schedule import Training, pace_at

ADVICE = (
    "earlier saved states are kept; check those samples and the initial weights, or train with a lower learning rate "
    "in another folder"
)
Loss = Callable[[int, np.random.Generator], torch.Tensor]
LossOfBatch = Callable[[nn.Module, Any], torch.Tensor]
Batches = Callable[[int], Iterator[Any]]  # batches starting at the given number; batch n is always the same
Validate = Callable[[nn.Module], dict[str, float]]  # metrics of the model; "score" is maximised
Save = Callable[[dict[str, Any], bool], None]  # the state, and whether its validation is the best so far
OnStep = Callable[[int, int, float], None]  # steps done, total steps, running loss


@dataclass
class Run:
    """The state of a training: the model, its optimizer, and its progress."""

    model: nn.Module
    training: Training
    seed: int
    optimiser: torch.optim.Optimizer = field(init=False)
    average: dict[str, torch.Tensor] | None = field(init=False, default=None)
    step: int = 0
    best: float = -math.inf
    stale: int = 0  # number of validations since the best one
    recent: float = math.nan  # running loss of this process, not part of the saved state

    def __post_init__(self) -> None:
        if self.device.type == "cpu":
            keep_freed_memory()
        self.optimiser = torch.optim.AdamW(self._groups(), weight_decay=self.training.weight_decay)
        if self.training.ema is not None:
            self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def _groups(self) -> list[dict[str, Any]]:
        """The parameters, grouped by their factor on the learning rate."""
        rates, groups = self.training.rates, dict[float, list[nn.Parameter]]()
        for name, parameter in self.model.named_parameters():
            factor = next((rates[prefix] for prefix in rates if name.startswith(prefix)), 1.0)
            groups.setdefault(factor, []).append(parameter)
        return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def is_done(self) -> bool:
        patience = self.training.patience
        return self.step >= self.training.steps or (patience is not None and self.stale >= patience)

    def state(self) -> dict[str, Any]:
        """Everything that a resumed training needs; only tensors, numbers and names."""
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "step": self.step}
        if self.average is not None:
            state["average"] = self.average
        return state | {"best": self.best, "stale": self.stale}

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step = state.get("average"), state["step"]
        self.best, self.stale = state.get("best", -math.inf), state.get("stale", 0)

    def advance(self, forward: nn.Module, batches: Iterator[Any], loss_of: LossOfBatch, rank: int = 0) -> None:
        """One optimizer step; `forward` is the model, or accelerate's wrapper of it in process `rank`.

        UserError if the loss or a gradient is not finite.
        """
        torch.manual_seed(hash_seed(self.seed, self.step, rank))
        for group in self.optimiser.param_groups:
            group["lr"] = self.training.learning_rate * group.get("factor", 1.0) * pace_at(self.step, self.training)
        self.optimiser.zero_grad(set_to_none=True)
        total, bad_samples = 0.0, list[str]()
        for remaining in reversed(range(self.training.gradient_accumulation_steps)):
            batch = next(batches)
            with _without_sync(forward, remaining):
                with mixed_precision(self.device):
                    loss = loss_of(forward, batch) / self.training.gradient_accumulation_steps
                loss.backward()
            total += loss.item()
            if isinstance(batch, dict) and "index" in batch and not math.isfinite(loss.item()):
                bad_samples += batch.get("photo") or [f"sample {index}" for index in batch["index"].tolist()]
        # The gradients are averaged over all processes, so all of them stop here.
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training.max_grad_norm or math.inf)
        if not (math.isfinite(total) and math.isfinite(norm)):
            samples = f" on {', '.join(bad_samples)}" if bad_samples else ""
            problem = f"the loss is {total}" if not math.isfinite(total) else "a gradient is NaN or inf"
            raise UserError(f"training: {problem} at step {self.step + 1}{samples}; {ADVICE}")
        self.optimiser.step()
        if self.average is not None and self.training.ema is not None:
            _update_average(self.average, self.model, min(self.training.ema, (1 + self.step) / (10 + self.step)))
        self.step += 1
        self.recent = total if math.isnan(self.recent) else 0.98 * self.recent + 0.02 * total

    def refuse_wrong_weights(self) -> None:
        """UserError if the weights contain NaN or inf: the next loss would show it, but only after they are saved."""
        if not all(value.isfinite().all() for value in self.model.state_dict().values()):
            raise UserError(f"training: the weights contain NaN or inf after step {self.step}; {ADVICE}")

    def judge(self, score: float) -> bool:
        """Record the score of a validation; return whether it is the best so far."""
        better = score > self.best
        self.best, self.stale = (score, 0) if better else (self.best, self.stale + 1)
        return better

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The model in evaluation mode, with its averaged weights if there are any; restores the training weights."""
        weights = None if self.average is None else {k: v.clone() for k, v in self.model.state_dict().items()}
        if self.average is not None:
            self.model.load_state_dict(self.average)
        self.model.eval()
        try:
            yield self.model
        finally:
            if weights is not None:
                self.model.load_state_dict(weights)
            self.model.train()


def train(
    run: Run,
    batches: Batches,
    loss_of: LossOfBatch,
    save: Save,
    *,
    validate: Validate | None = None,
    log: Callable[[dict[str, float]], None] | None = None,
    on_step: OnStep | None = None,
    accelerator: Any = None,
) -> None:
    """Train from `run.step` to the end, or until `patience` validations in a row are not better than the best.

    batches: yields the batches from a number on; a step takes `gradient_accumulation_steps` of them. save: called every
    `save_every` steps, after each validation and at the end; it decides where to write the state. log: called with one
    row every 50 steps and at each validation. accelerator: from `several_processes`; each process then has its own
    batches, and only the first saves and logs. UserError if the loss, a gradient or a weight is not finite.
    """
    training, start_time, rank = run.training, time.time(), 0 if accelerator is None else accelerator.process_index
    forward = run.model if accelerator is None else accelerator.prepare_model(run.model)
    remaining_batches = batches(run.step * training.gradient_accumulation_steps)
    run.model.train()
    while not run.is_done:
        run.advance(forward, remaining_batches, loss_of, rank)
        last, better, figures = run.step == training.steps, False, {}
        if validate and (last or run.step % training.validate_every == 0):
            with run.averaged() as model, torch.no_grad():
                figures = _of_first_process(validate(model), accelerator)
            better = run.judge(figures["score"])
        if figures or last or run.step % training.save_every == 0:
            run.refuse_wrong_weights()
        if rank == 0 and log and (figures or run.step % 50 == 0):
            rate, seconds = run.optimiser.param_groups[0]["lr"], time.time() - start_time
            log({"step": run.step, "loss": run.recent, "learning_rate": rate, "seconds": seconds} | figures)
        if rank == 0 and on_step:
            on_step(run.step, training.steps, run.recent)
        if rank == 0 and (figures or last or run.step % training.save_every == 0):
            save(run.state(), better)


def fit(
    name: str,
    model: nn.Module,
    loss_of: Loss,
    training: Training,
    folder: Path,
    *,
    seed: int,
    on_step: OnStep | None = None,
) -> nn.Module:
    """Train `model` on `loss_of(step, rng)` and return it with its averaged (EMA) weights.

    The whole state is saved to `folder/name.pt` (a temporary name, then renamed) and read back, so a killed training
    resumes where it was; the running loss is logged to `folder/name.jsonl`.
    """
    run, path = Run(model, training, seed), folder / f"{name}.pt"
    if path.exists():
        run.restore(torch.load(path, map_location=run.device, weights_only=True))

    def batches(start: int) -> Iterator[tuple[int, np.random.Generator]]:
        return ((step, np.random.default_rng([seed, step])) for step in range(start, training.steps))

    with open(folder / f"{name}.jsonl", "a") as file:

        def log(row: dict[str, float]) -> None:
            values = {"step": row["step"], "loss": round(row["loss"], 6), "seconds": round(row["seconds"], 1)}
            file.write(json.dumps(values) + "\n")
            file.flush()

        train(
            run, batches, lambda _, batch: loss_of(*batch), lambda s, _: save_state(path, s), log=log, on_step=on_step
        )
    if run.average is not None:
        model.load_state_dict(run.average)
    return model.eval()


def several_processes(device: str) -> Any:
    """An Accelerator for the processes that `torchrun` started; None if there is only this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return None
    from accelerate import Accelerator

    return Accelerator(cpu=device == "cpu")


def _without_sync(forward: nn.Module, remaining: int) -> AbstractContextManager[Any]:
    """No exchange of gradients between processes while batches of the step remain; the step's last batch exchanges."""
    return forward.no_sync() if remaining and hasattr(forward, "no_sync") else nullcontext()


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 autocast if the processor supports it; a CPU without such instructions is faster in float32."""
    has = torch.cpu.get_capabilities() if device.type == "cpu" else {"avx512_bf16": True}
    return torch.autocast(device.type, torch.bfloat16, enabled=has.get("avx512_bf16") or has.get("amx_bf16") or False)


def hash_seed(seed: int, step: int, rank: int = 0) -> int:
    """A 63-bit seed from (seed, step) and the rank of the process."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Replace a saved state by a new one; a kill leaves the old or the new state, complete."""
    with replacing(path) as partial:
        torch.save(state, partial)


@torch.no_grad()
def _update_average(average: dict[str, torch.Tensor], model: nn.Module, decay: float) -> None:
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def _of_first_process(figures: dict[str, float], accelerator: Any) -> dict[str, float]:
    """The first process's metrics, in every process: all must agree on when to stop."""
    if accelerator is None:
        return figures
    from accelerate.utils import broadcast_object_list

    shared = [figures]
    broadcast_object_list(shared)
    return shared[0]
