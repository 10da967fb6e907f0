"""The segmenters: one table of their configurations. Importing it imports no torch.

A segmenter is a folder and a line of the table. The folder's config.py has the configuration and its segmenter.py the
class `Segmenter`, which takes it (models/segmenters/protocol.py); both may also be in a single file.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from models.config.training import TrainConfig
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.diffusionseg.config import DiffusionSegConfig
from models.segmenters.encoder.config import EncoderConfig
from models.segmenters.smp.config import DeepLabV3Config, UNetConfig
from models.segmenters.sod_diffusion.config import SodDiffusionConfig

if TYPE_CHECKING:
    from models.segmenters.protocol import Segmenter

TABLE: tuple[type[TrainConfig], ...] = (
    DiffusionSegConfig,
    SodDiffusionConfig,
    DiffDisConfig,
    EncoderConfig,
    UNetConfig,
    DeepLabV3Config,
)


def by_name(table: tuple[type[TrainConfig], ...]) -> dict[str, type[TrainConfig]]:
    """Name of each segmenter -> its configuration."""
    return {config.model_fields["segmenter"].default: config for config in table}


def any_of(table: tuple[type[TrainConfig], ...]) -> Any:
    """The union type of the configurations, discriminated by the segmenter's name, for a flow's parameter."""
    return Annotated[Union[table], Field(discriminator="segmenter")]  # noqa: UP007


SEGMENTERS = by_name(TABLE)
if TYPE_CHECKING:
    SegmenterConfig = TrainConfig
else:
    SegmenterConfig = any_of(TABLE)


def segmenter_names() -> str:
    """All names as text, as in 'encoder, unet or deeplabv3'."""
    *others, last = SEGMENTERS
    return f"{', '.join(others)} or {last}"


def segmenter_of(config: TrainConfig) -> "Segmenter":
    """The untrained segmenter of a configuration; its module is only imported here."""
    module = type(config).__module__
    folder, _, file = module.rpartition(".")
    return import_module(f"{folder}.segmenter" if file == "config" else module).Segmenter(config)
