"""The hyperparameters of a training, and the learning rate of each step. Knows no network, imports no torch."""

import math
from dataclasses import dataclass, field
from typing import Literal

from models.config.training import TrainConfig


@dataclass(frozen=True)
class Training:
    """Hyperparameters of one network's training; a step is one optimizer step (AdamW; Adam without decay)."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup_steps: int = 200
    lr_schedule: Literal["cosine", "constant", "stepped"] = "cosine"
    epoch: int = 1  # steps of one epoch, for the stepped schedule
    rates: dict[str, float] = field(default_factory=dict)  # prefix of parameter names -> factor on their learning rate
    ema: float | None = 0.999  # decay of the averaged weights; None keeps no average
    max_grad_norm: float | None = 1.0  # norm to which larger gradients are clipped; None: not clipped
    gradient_accumulation_steps: int = 1  # batches whose gradients are averaged for one step
    save_every: int = 500
    validate_every: int = 500
    patience: int | None = None  # stop after this many validations without a better score


def training_of(config: TrainConfig, batches_per_epoch: int) -> Training:
    """The hyperparameters of a segmenter's training, which validates after each epoch."""
    steps = max(1, round(batches_per_epoch / config.gradient_accumulation_steps))
    return Training(
        steps=config.epochs * steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        lr_schedule=config.lr_schedule,
        epoch=steps,
        rates=config.rates(),
        ema=None,
        max_grad_norm=config.max_grad_norm,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        save_every=config.save_every,
        validate_every=steps,
        patience=config.patience,
    )


def pace_at(step: int, training: Training) -> float:
    """Learning-rate factor: linear warmup, then constant, cosine down to 0.02, or DiffDIS's steps every 30 epochs."""
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    if training.lr_schedule == "constant":
        return 1.0
    if training.lr_schedule == "stepped":
        return 0.95 ** sum(epoch // 30 for epoch in range(step // training.epoch + 1))
    progress = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
