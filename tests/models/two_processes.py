"""Run by torchrun: each process trains the same network on batches of its own, and saves its weights to OUT/RANK.pt."""

import sys
from pathlib import Path

import torch
from torch import nn

from models.fitting import Run, Training, several_processes, train

STEPS = 5


def main(out: Path) -> None:
    accelerator = several_processes("cpu")
    rank = accelerator.process_index
    torch.manual_seed(0)
    run = Run(nn.Linear(3, 1), Training(STEPS, 4, 0.1, ema=None, validate_every=2), seed=0)
    saved: list[int] = []

    def batches(start: int):
        return (torch.randn(4, 3, generator=torch.Generator().manual_seed(10 * n + rank)) for n in range(start, STEPS))

    train(
        run,
        batches,
        lambda network, batch: (network(batch) - batch.sum(1, keepdim=True)).square().mean(),
        lambda state, better: saved.append(state["step"]),
        validate=lambda network: {"score": float(rank)},  # which the first process's must replace
        accelerator=accelerator,
    )
    torch.save({"weights": run.model.state_dict(), "best": run.best, "saved": saved}, out / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
