"""One resumable training loop: it takes a model and a loss of (step, generator), and knows no data and no store.

Each step draws from a generator seeded by (seed, step) alone, so a training killed and resumed sees the same batches
and the same noise as an unbroken one.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Training:
    """Length and pace of one network's training."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warm_up: int = 200
    ema: float = 0.999
    save_every: int = 500


Loss = Callable[[int, np.random.Generator], torch.Tensor]


def fit(
    name: str,
    model: nn.Module,
    loss_of: Loss,
    training: Training,
    folder: Path,
    *,
    seed: int,
    on_step: Callable[[int, int, float], None] | None = None,
) -> nn.Module:
    """Train `model` on `loss_of(step, rng)` and return it holding its averaged (EMA) weights.

    AdamW, linear warm-up, cosine decay, clipped gradients, `mixed_precision`. The whole state is saved to
    `folder/name.pt` (a temporary name, then renamed) and read back, so a killed training goes on where it was.
    """
    device = next(model.parameters()).device
    optimiser = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    path, start = folder / f"{name}.pt", 0
    if path.exists():
        state = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"]), optimiser.load_state_dict(state["optimiser"])
        average, start = state["average"], state["step"]
    model.train()
    recent, began = 0.0, time.time()
    with open(folder / f"{name}.jsonl", "a") as log:
        for step in range(start, training.steps):
            torch.manual_seed(hash_seed(seed, step))
            for group in optimiser.param_groups:
                group["lr"] = training.learning_rate * _pace(step, training)
            with mixed_precision(device):
                loss = loss_of(step, np.random.default_rng([seed, step]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            _update_average(average, model, min(training.ema, (1 + step) / (10 + step)))
            recent = loss.item() if step == start else 0.98 * recent + 0.02 * loss.item()
            if (step + 1) % 50 == 0:
                log.write(
                    json.dumps({"step": step + 1, "loss": round(recent, 6), "seconds": round(time.time() - began, 1)})
                    + "\n"
                )
                log.flush()
            if on_step:
                on_step(step + 1, training.steps, recent)
            if (step + 1) % training.save_every == 0 or step + 1 == training.steps:
                _save(
                    path,
                    {
                        "model": model.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "average": average,
                        "step": step + 1,
                    },
                )
    model.load_state_dict(average)
    return model.eval()


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 autocast where the processor computes in it; a CPU without such instructions is faster in float32."""
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {"avx512_bf16": True}
    return torch.autocast(device.type, torch.bfloat16, enabled=able.get("avx512_bf16") or able.get("amx_bf16") or False)


def hash_seed(seed: int, step: int) -> int:
    """A 63-bit seed from (seed, step)."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _pace(step: int, training: Training) -> float:
    """Learning-rate factor in [0.02, 1]: linear warm-up, then cosine."""
    if step < training.warm_up:
        return (step + 1) / training.warm_up
    done = (step - training.warm_up) / max(1, training.steps - training.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _update_average(average: dict[str, torch.Tensor], model: nn.Module, decay: float) -> None:
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def _save(path: Path, state: dict) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)
