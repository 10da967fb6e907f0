"""The segmenters: one self-contained file a family, holding a class `Segmenter`. Knows no store and no training loop.

A `Segmenter(config)` has `network`, the nn.Module that is trained and saved; `loss(network, batch)`;
`soft_masks(batch)`, the masks of a batch; and `predict(images, categories)`. A batch is a dict: "image" (B, H, W, 3)
uint8 and "mask" (B, H, W) bool tensors, "category" a list of names, and what a segmenter's cache adds.
"""

from importlib import import_module
from typing import Any

from models.trainconfig import TrainConfig

# Those whose file has another name.
FAMILIES = {"unet": "baselines", "deeplabv3": "baselines", "sod-diffusion": "sod_diffusion"}


def segmenter_of(config: TrainConfig) -> Any:
    """The untrained segmenter of a configuration; importing this module loads none."""
    file = FAMILIES.get(config.segmenter, config.segmenter)
    return import_module(f"models.segmenters.{file}").Segmenter(config)
