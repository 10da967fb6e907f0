"""Checks before pocket is pretrained."""

from pathlib import Path

from models.hardware import resolve_device
from models.pocket.config import PretrainConfig
from storage.places import check_place


def check_pretrain(config: PretrainConfig, out: Path) -> None:
    """UserError if the device or the weights to start from do not exist, or `out` holds other files; writes nothing."""
    from models.pocket.export import facts_of

    resolve_device(config.device)
    if config.start is not None:
        facts_of(config.start)
    check_place(out, "pretrained weights", is_ours=lambda folder: (folder / "training.json").is_file())
