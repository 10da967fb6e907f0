"""Small configurations of SOD-diffusion on a tiny backbone."""

from models.segmenters.sod_diffusion.config import SodDiffusionConfig

SWIN = {"swin": "pocket", "weights": "random", "freeze_swin": False}


def config_on(folder, **choices) -> SodDiffusionConfig:
    small = {"size": 64, "steps": 2, "ensemble": 2, "validation_steps": 1, "run": {"device": "cpu", "batch_size": 2}}
    return SodDiffusionConfig.model_validate({"backbone": str(folder)} | SWIN | small | choices)
