"""LoRA fused into a network: W + weight * alpha / rank * (up @ down) for each layer that the file names.

Knows nothing of files' names or of families.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from models.backbone.lora.files import Lora, Pair
from models.errors import UserError

# Parts of a UNet's residual block, in diffusers and in the original names that kohya keeps for SDXL.
RESNET = {
    "norm1": "in_layers_0", "conv1": "in_layers_2", "time_emb_proj": "emb_layers_1", "norm2": "out_layers_0",
    "conv2": "out_layers_3", "conv_shortcut": "skip_connection",
}  # fmt: skip
ENDS = {
    "conv_in": "input_blocks_0_0", "time_embedding_linear_1": "time_embed_0", "time_embedding_linear_2": "time_embed_2",
    "add_embedding_linear_1": "label_emb_0_0", "add_embedding_linear_2": "label_emb_0_2", "conv_out": "out_2",
    "mid_block_resnets_0": "middle_block_0", "mid_block_attentions_0": "middle_block_1",
    "mid_block_resnets_1": "middle_block_2",
}  # fmt: skip


def check_fit(loras: Sequence[Lora], networks: Mapping[str, Any]) -> None:
    """UserError unless each LoRA changes layers that the networks have, by matrices of their sizes.

    networks: by part; their weights may be on the meta device.
    """
    layers = {part: layers_of(network) for part, network in networks.items()}
    for lora in loras:
        unknown = [pair for pair in lora.pairs if pair.layer not in layers.get(pair.part, {})]
        if unknown:
            count = f"{len(unknown)} of {len(lora.pairs)} layers"
            raise UserError(
                f"lora {lora.given}: expected one of this backbone's architecture, but it lacks {count} that the LoRA "
                f"changes, for example {unknown[0].part}: {unknown[0].layer}; choose a LoRA that was trained on it"
            )
        for pair in lora.pairs:
            _check_size(lora, pair, tuple(layers[pair.part][pair.layer].weight.shape))


def _check_size(lora: Lora, pair: Pair, size: tuple[int, ...]) -> None:
    out, width = size[0], size[1:]
    changes = (pair.up_shape[0], *pair.down_shape[1:])
    if changes[0] != out or _numbers(changes[1:]) != _numbers(width):
        raise UserError(
            f"lora {lora.given}: expected one of this backbone's widths, but its change of {pair.layer} is "
            f"{changes}, of a layer that is {size}; choose a LoRA that was trained on it"
        )


def _numbers(shape: Sequence[int]) -> list[int]:
    """A shape without sides of 1: a linear layer's matrix may be stored as a convolution's of one pixel."""
    return [side for side in shape if side != 1]


def fuse(network: Any, part: str, loras: Sequence[Lora]) -> None:
    """Add the LoRAs' changes to a network's weights, in float32, each rounded to the weights' format once."""
    import torch
    from safetensors import safe_open

    layers = layers_of(network)
    with torch.no_grad():
        for lora in loras:
            with safe_open(lora.file, framework="pt") as opened:
                for pair in lora.pairs:
                    if pair.part == part:
                        weight = layers[pair.layer].weight
                        change = _change(opened, pair, lora.weight).reshape(weight.shape)
                        if not change.isfinite().all():
                            raise UserError(
                                f"lora {lora.given}: its change of {pair.layer} has NaN; choose another file"
                            )
                        weight.copy_(weight.float() + change)


def _change(opened: Any, pair: Pair, weight: float) -> Any:
    """weight * alpha / rank * (up @ down), (out, in) float32, a convolution's taps in `in`."""
    down, up = (opened.get_tensor(name).float().flatten(1) for name in (pair.down, pair.up))
    alpha = pair.scale if pair.alpha is None else float(opened.get_tensor(pair.alpha)) / len(down)
    return weight * alpha * (up @ down)


def layers_of(network: Any) -> dict[str, Any]:
    """The layers with a matrix or a convolution, by name with `_` between all words, and by kohya's name for SDXL's."""
    layers = {
        name.replace(".", "_").removeprefix("text_model_"): module
        for name, module in network.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.ndim in (2, 4)
    }
    if hasattr(network, "down_blocks"):
        depth = network.config.layers_per_block
        layers |= {_original(name, depth): layer for name, layer in layers.items() if _original(name, depth)}
    return layers


def _original(name: str, depth: Any) -> str:
    """A UNet layer's name in the original blocks, which are numbered through; '' if it has none."""
    for ours, theirs in ENDS.items():
        if name == ours or name.startswith(ours + "_"):
            return _resnet(theirs + name.removeprefix(ours))
    found = re.fullmatch(r"(down|up)_blocks_(\d+)_(resnets|attentions|downsamplers|upsamplers)_(\d+)_(.*)", name)
    if found is None or not isinstance(depth, int):
        return ""
    group, block, kind, number, rest = found.groups()
    if kind == "downsamplers":
        return f"input_blocks_{(int(block) + 1) * (depth + 1)}_0_op"
    first = 1 + int(block) * (depth + 1) if group == "down" else int(block) * (depth + 1)
    if kind == "upsamplers":
        return f"output_blocks_{first + depth}_2_{rest}"
    place = f"{'input' if group == 'down' else 'output'}_blocks_{first + int(number)}"
    return _resnet(f"{place}_{0 if kind == 'resnets' else 1}_{rest}")


def _resnet(name: str) -> str:
    for ours, theirs in RESNET.items():
        if name.endswith("_" + ours):
            return name.removesuffix(ours) + theirs
    return name
