"""How a run uses the machine: device, number format, batch size, workers. Changes no sample.

Imports no torch.
"""

from typing import Literal

from pydantic import Field

from models.config.base import Config


class RunConfig(Config):
    """How a run uses the machine. Changes no sample and is not compared when a dataset is extended."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="'auto', 'cpu', 'cuda' or 'cuda:1'")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="number format of the networks; auto is float16 on a GPU, float32 on a CPU"
    )
    batch_size: int = Field(8, ge=1, description="images sampled together; halved when memory runs out")
    workers: int = Field(
        0, ge=0, le=1024, description="Dask worker processes for the cuts; 0 uses threads of this process"
    )
    address: str | None = Field(
        None,
        pattern=r"^(\w+://)?(\[[\da-fA-F:]+\]|[^\s/:]+):\d+/?$",
        description="address of a running Dask scheduler, as in 'tcp://host:8786', used instead of `workers`",
    )
