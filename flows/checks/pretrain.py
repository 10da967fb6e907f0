"""Checks before pocket is pretrained."""

from models.hardware import resolve_device
from models.pocket.config import PretrainConfig


def check_pretrain(config: PretrainConfig) -> None:
    """UserError if the device or the weights folder to start from does not exist; writes nothing."""
    from models.pocket.export import facts_of

    resolve_device(config.device)
    if config.start is not None:
        facts_of(config.start)
