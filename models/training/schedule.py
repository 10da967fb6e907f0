"""The length and pace of a training, and the learning rate of each of its steps. Knows no network, imports no torch."""

import math
from dataclasses import dataclass, field
from typing import Literal

from models.config.training import TrainConfig


@dataclass(frozen=True)
class Training:
    """Length and pace of one network's training; a step is one step of the optimiser (AdamW; Adam without decay)."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup_steps: int = 200
    lr_schedule: Literal["cosine", "constant", "stepped"] = "cosine"
    epoch: int = 1  # steps of one epoch, which the stepped schedule counts in
    rates: dict[str, float] = field(default_factory=dict)  # beginning of names -> factor on their learning rate
    ema: float | None = 0.999  # decay of the averaged weights; None keeps no average
    max_grad_norm: float | None = 1.0  # largest norm of the gradient
    gradient_accumulation_steps: int = 1  # batches whose gradients are averaged in one step
    save_every: int = 500
    validate_every: int = 500
    patience: int | None = None  # validations without a better score after which training stops


def training_of(config: TrainConfig, in_epoch: int) -> Training:
    """The pace of a segmenter's training whose epochs have so many batches; it validates after each epoch."""
    steps = max(1, round(in_epoch / config.gradient_accumulation_steps))
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
    """Learning-rate factor: linear warm-up, then constant, a cosine down to 0.02, or DiffDIS's steps of epochs."""
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    if training.lr_schedule == "constant":
        return 1.0
    if training.lr_schedule == "stepped":
        return 0.95 ** sum(epoch // 30 for epoch in range(step // training.epoch + 1))
    done = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
