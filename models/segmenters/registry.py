"""The segmenters by name: configuration and network of each. Importing it imports no torch."""

from importlib import import_module
from typing import Annotated, Any

from pydantic import Field

from models.config.training import TrainConfig
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.encoder.config import EncoderConfig
from models.segmenters.smp.config import DeepLabV3Config, UNetConfig
from models.segmenters.sod_diffusion.config import SodDiffusionConfig

SEGMENTERS: dict[str, type[TrainConfig]] = {
    "diffusionseg": DiffusionSegConfig,
    "encoder": EncoderConfig,
    "unet": UNetConfig,
    "deeplabv3": DeepLabV3Config,
    "sod-diffusion": SodDiffusionConfig,
    "diffdis": DiffDisConfig,
}
# Any of them, told apart by its name: what a flow takes.
SegmenterConfig = Annotated[
    DiffusionSegConfig | EncoderConfig | UNetConfig | DeepLabV3Config | SodDiffusionConfig | DiffDisConfig,
    Field(discriminator="segmenter"),
]


# Those whose folder has another name.
FAMILIES = {"unet": "smp", "deeplabv3": "smp", "sod-diffusion": "sod_diffusion"}


def segmenter_of(config: TrainConfig) -> Any:
    """The untrained segmenter of a configuration; importing this module loads none."""
    family = FAMILIES.get(config.segmenter, config.segmenter)
    return import_module(f"models.segmenters.{family}.segmenter").Segmenter(config)
