"""The stages of pocket's pretraining, in order: each builds a network, trains it in a run folder and returns it.

Stages read each other's results from the folder, so each can be run, killed and resumed alone. If the configuration
names weights to start from, only the denoiser is trained further and the other networks are kept. Knows nothing of
Prefect. The losses are in recipe.py, the loop in models/training/loop.py.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.hardware import hardware, resolve_device
from models.pocket import networks, recipe, vocabulary
from models.pocket.card import stage_facts
from models.pocket.config import PretrainConfig
from models.pocket.export import facts_of, load_weights
from models.training.loop import fit
from models.training.schedule import Training

# Sized for a CPU with two cores; on a GPU all of it takes minutes.
TRAININGS = {
    "vae": Training(steps=1800, batch_size=16, learning_rate=2e-3, weight_decay=0.0, warmup_steps=100, save_every=100),
    "diffusion": Training(steps=3800, batch_size=32, learning_rate=6e-4, ema=0.998, save_every=100),
    "clip": Training(steps=1500, batch_size=96, learning_rate=1e-3, save_every=200),
    "classifier": Training(steps=1000, batch_size=48, learning_rate=2e-3, save_every=200),
    "oracle": Training(steps=1100, batch_size=16, learning_rate=2e-3, save_every=200),
}
OnStep = Callable[[int, int, float], None]


def training_of(name: str, config: PretrainConfig) -> Training:
    """The stage's hyperparameters, with the number of steps scaled by `config.effort`."""
    training = TRAININGS[name]
    return replace(training, steps=max(1, round(training.steps * config.effort)))


def scenes_of(folder: Path, config: PretrainConfig, on_step: Callable[[int, int], None] | None = None) -> recipe.Scenes:
    """The training scenes, rendered on first use."""
    return recipe.render_scenes(folder, config.seed, config.scenes, on_step)


def train(name: str, folder: Path, config: PretrainConfig, on_step: OnStep | None = None) -> nn.Module:
    """Train network `name`, or load it if its training is complete; return it with averaged weights."""
    training = training_of(name, config)
    torch.manual_seed(config.seed)
    model = _BUILDERS[name]()
    if config.start:
        load_weights(config.start, name, model)
    model = model.to(resolve_device(config.device), memory_format=torch.channels_last)
    if name not in trained_here(config):
        return model.eval()
    loss_of = _loss_of(name, model, folder, config, training.batch_size)
    return fit(name, model, loss_of, training, folder, seed=config.seed, on_step=on_step)


def trained_here(config: PretrainConfig) -> list[str]:
    """The networks that this pretraining trains; the others come from `config.start`."""
    return ["diffusion"] if config.start else list(TRAININGS)


def latents_of(folder: Path, config: PretrainConfig, on_step: Callable[[int, int], None] | None = None) -> np.ndarray:
    """Latents of the scenes, (N, 4, 16, 16) float16, unscaled; encoded on first use."""
    return recipe.encode_latents(train("vae", folder, config), scenes_of(folder, config), folder, on_step)


def trained_vae(folder: Path, config: PretrainConfig) -> Any:
    """The trained autoencoder, with a scaling factor that gives latents unit variance, as in Stable Diffusion."""
    vae: Any = train("vae", folder, config)
    vae.register_to_config(scaling_factor=round(float(1 / latents_of(folder, config)[:2000].astype("f4").std()), 5))
    return vae


def training_facts(folder: Path, config: PretrainConfig, command: str) -> dict[str, Any]:
    """The training's facts for the model card."""
    trained = {
        name: stage_facts(folder / f"{name}.jsonl", training_of(name, config).steps, TRAININGS[name].batch_size)
        for name in trained_here(config)
    }
    facts = {"command": command, "hardware": hardware(), "seed": config.seed, "scenes": config.scenes}
    return facts | {"networks": trained} | ({"before": facts_of(config.start)} if config.start else {})


def _loss_of(name: str, model: nn.Module, folder: Path, config: PretrainConfig, batch_size: int) -> Any:
    data = scenes_of(folder, config)
    if name == "diffusion":
        scaling = trained_vae(folder, config).config.scaling_factor
        ids = recipe.tokenise(vocabulary.tokenizer(), data)
        alpha_bar = networks.scheduler().alphas_cumprod
        return recipe.diffusion_loss(model, latents_of(folder, config), ids, alpha_bar, scaling, batch_size)
    if name == "clip":
        return recipe.clip_loss(model, data, recipe.tokenise(vocabulary.tokenizer(), data), batch_size)
    if name == "vae":
        return recipe.vae_loss(model, data, training_of(name, config))
    losses = {"classifier": recipe.classifier_loss, "oracle": recipe.oracle_loss}
    return losses[name](model, data, batch_size)


def _denoiser() -> nn.ModuleDict:
    """UNet and text encoder, trained together."""
    return nn.ModuleDict({"unet": networks.unet(), "text_encoder": networks.text_encoder()})


_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "vae": networks.vae,
    "diffusion": _denoiser,
    "clip": networks.clip,
    "classifier": networks.classifier,
    "oracle": networks.Oracle,
}
