"""Pretraining of pocket, the backbone that ships inside: scenes, networks, export."""

from pathlib import Path

from flows.base import flow
from flows.checks.pretrain import check_pretrain
from models.paths import GivenPath
from models.pocket.config import PretrainConfig
from tasks.pretraining import encode_scenes, export_weights, render_scenes, train_network


@flow(name="pretrain")
def pretrain(config: PretrainConfig, run: GivenPath, out: GivenPath) -> Path:
    """Train all weights from scratch in `run`, or resume its training, and write them to `out`."""
    check_pretrain(config, out)
    run.mkdir(parents=True, exist_ok=True)
    render_scenes(run, config)
    train_network("vae", run, config)
    encode_scenes(run, config)
    for name in ("diffusion", "clip", "classifier", "oracle"):
        train_network(name, run, config)
    return export_weights(run, out, config)
