"""A backbone's facts from the configurations of its UNet2DConditionModel, AutoencoderKL and scheduler.

Imports no torch, loads no network. Knows nothing of a family's texts.
"""

from pathlib import Path
from typing import Any

from models.backbone.protocol import BackboneFacts


def facts_from(name: str, folder: Path, family: str, unet: dict, vae: dict, scheduler: dict) -> BackboneFacts:
    """The facts that checked configurations tell; evidence lies on the latent grid."""
    factor, num_halvings = 2 ** (len(vae["block_out_channels"]) - 1), len(unet["block_out_channels"]) - 1
    size = unet["sample_size"]
    h, w = size if isinstance(size, list) else (size, size)
    return BackboneFacts(
        name=name,
        folder=folder,
        family=family,
        image_size=(h * factor, w * factor),
        latent_channels=vae["latent_channels"],
        latent_size=(h, w),
        vae_factor=factor,
        multiple=factor * 2**num_halvings,
        prediction_type=scheduler.get("prediction_type", "epsilon"),
        num_cross=num_cross(unet),
        num_halvings=num_halvings,
        num_middle=num_middle(unet),
        cross_width=unet["cross_attention_dim"],
    )


def num_cross(unet: dict[str, Any]) -> int:
    """Number of cross-attention layers: of the down and up blocks that have them, and of the middle."""
    down, up = unet["down_block_types"], unet["up_block_types"]
    layers = _of_each(unet.get("layers_per_block", 2), len(down))
    depth = _of_each(unet.get("transformer_layers_per_block", 1), len(down))
    up_depth = unet.get("reverse_transformer_layers_per_block") or depth[::-1]  # given where the UNet is asymmetric
    blocks = [*zip(down, layers, depth, strict=True)]
    blocks += [(block, n + 1, d) for block, n, d in zip(up, layers[::-1], up_depth, strict=True)]
    return num_middle(unet) + sum(_stacked(d, n) for block, n, d in blocks if "CrossAttn" in block)


def num_middle(unet: dict[str, Any]) -> int:
    """Number of transformer blocks in the middle."""
    depth = _of_each(unet.get("transformer_layers_per_block", 1), 1)[-1]
    has = "CrossAttn" in (unet.get("mid_block_type", "UNetMidBlock2DCrossAttn") or "")
    return has * _stacked(depth, 1)


def attention_halvings(unet: dict[str, Any]) -> int:
    """Times the latent grid is halved for the finest attention layers: SDXL has none in its first block."""
    down, up = unet["down_block_types"], unet["up_block_types"]
    return next(i for i, pair in enumerate(zip(down, up[::-1], strict=True)) if "CrossAttn" in "".join(pair))


def _of_each(value: Any, blocks: int) -> list[Any]:
    """A value for each block; a configuration may give one for all."""
    return [value] * blocks if isinstance(value, int) else list(value)


def _stacked(depth: int | list[int], layers: int) -> int:
    """Transformer blocks of a block with so many layers; `depth` is that of each layer, or one for all."""
    return layers * depth if isinstance(depth, int) else sum(depth[:layers])
