"""Run by torchrun: each process trains the same network on batches of its own, and saves its weights to OUT/RANK.pt.

With a step as second argument, the second process's samples of that step's first batch are no numbers.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from models.training.loop import Run, several_processes, train
from models.training.schedule import Training

TRAINING = Training(
    5,
    4,
    0.1,
    ema=None,
    max_grad_norm=None,
    warmup_steps=0,
    gradient_accumulation_steps=2,
    validate_every=2,
    save_every=1,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def squared(forward: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return (forward(batch) - batch.sum(1, keepdim=True)).square().mean()


def batch(n: int, rank: int) -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(10 * n + rank))


def main(out: Path, broken: int | None) -> None:
    accelerator = several_processes("cpu")
    rank = accelerator.process_index
    run, saved, error = Run(network(), TRAINING, seed=0), list[int](), ""

    def batches(start: int) -> Iterator[torch.Tensor]:
        for n in range(start, TRAINING.steps * TRAINING.gradient_accumulation_steps):
            wrong = rank == 1 and broken is not None and n == TRAINING.gradient_accumulation_steps * broken
            yield batch(n, rank) * (torch.nan if wrong else 1)

    try:
        train(
            run,
            batches,
            squared,
            lambda state, better: saved.append(state["step"]),
            validate=lambda network: {"score": float(rank)},  # which the first process's must replace
            accelerator=accelerator,
        )
    except ValueError as raised:
        error = str(raised)
    torch.save(
        {"weights": run.model.state_dict(), "best": run.best, "saved": saved, "error": error}, out / f"{rank}.pt"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
