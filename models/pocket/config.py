"""How pocket's weights are trained. Imports no torch."""

from pydantic import Field

from models.config.base import Config
from models.paths import GivenPath


class PretrainConfig(Config):
    """Training pocket's weights, from random or from earlier weights."""

    seed: int = Field(0, ge=0, lt=2**32, description="seed of the scenes, the initial weights and the batches")
    scenes: int = Field(40000, ge=64, description="number of rendered training scenes")
    effort: float = Field(
        1.0, gt=0, le=100, description="factor on the number of steps of every network; below 1 for a short trial"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="'auto', 'cpu', 'cuda' or 'cuda:1'")
    start: GivenPath | None = Field(
        None, description="weights folder to start from: its denoiser is trained further, other networks are kept"
    )
