"""A diffusers folder written as one file in the original layout, the inverse of diffusers' conversion."""

import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models.backbone.load import load_backbone

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
ENDS = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0",
    "conv_out": "out.2", "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}  # fmt: skip
VAE_MID = {"resnets.0": "block_1", "attentions.0": "attn_1", "resnets.1": "block_2"}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip


def as_single_file(folder: Path, file: Path, kind: str, more: dict[str, torch.Tensor] | None = None) -> Path:
    """The backbone in a folder as one file of kind 1.x, 2.x or XL, with the folder's configurations beside it."""
    backbone: Any = load_backbone(str(folder))
    tensors = {
        f"model.diffusion_model.{_unet(name, backbone.unet)}": v for name, v in backbone.unet.state_dict().items()
    }
    tensors |= {f"first_stage_model.{_vae(name, 4)}": _conv(name, v) for name, v in backbone.vae.state_dict().items()}
    first, second = backbone.text_encoder, getattr(backbone, "text_encoder_2", None)
    if kind == "2.x":
        tensors |= _open_clip(first, "cond_stage_model.model.")
    else:
        prefix = "cond_stage_model" if kind == "1.x" else "conditioner.embedders.0"
        tensors |= {f"{prefix}.transformer.text_model.{_plain(n)}": v for n, v in first.state_dict().items()}
    if second is not None:
        tensors |= _open_clip(second, "conditioner.embedders.1.model.")
    tensors = {name: value.clone().contiguous() for name, value in (tensors | (more or {})).items()}
    shutil.copytree(folder, file.with_suffix(""), ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    save_file(tensors, file) if file.suffix == ".safetensors" else torch.save({"state_dict": tensors}, file)
    return file


def _plain(name: str) -> str:
    return name.removeprefix("text_model.")


def _unet(name: str, unet: Any) -> str:
    """The original name of a UNet's tensor: blocks are numbered through, each layer with its resnet, then attention."""
    layers = unet.config.layers_per_block
    for ours, theirs in ENDS.items():
        if name.startswith(ours + "."):
            return _resnet(theirs + name.removeprefix(ours))
    group, block, kind, number, rest = re.fullmatch(r"(\w+)\.(\d+)\.(\w+)\.(\d+)\.(.*)", name).groups()
    block, number = int(block), int(number)
    if group == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
        place = f"input_blocks.{1 + block * (layers + 1) + number}"
    else:
        place = f"output_blocks.{block * (layers + 1) + (layers if kind == 'upsamplers' else number)}"
        if kind == "upsamplers":
            return f"{place}.{2 if hasattr(unet.up_blocks[block], 'attentions') else 1}.{rest}"
    return _resnet(f"{place}.{0 if kind == 'resnets' else 1}.{rest}")


def _resnet(name: str) -> str:
    if "transformer_blocks" in name:
        return name
    for ours, theirs in RESNET.items():
        name = re.sub(rf"\.{ours}\.(weight|bias)$", rf".{theirs}.\1", name)
    return name


def _vae(name: str, levels: int) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
    for ours, theirs in VAE_MID.items():
        name = name.replace(f"mid_block.{ours}", f"mid.{theirs}")
    for ours, theirs in VAE_ATTENTION.items():
        name = name.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    return name


def _conv(name: str, value: torch.Tensor) -> torch.Tensor:
    """The VAE's attention has 1x1 convolutions where diffusers has linear layers."""
    return value[..., None, None] if "attentions" in name and value.ndim == 2 else value


def _open_clip(encoder: Any, prefix: str) -> dict[str, torch.Tensor]:
    state = {_plain(name): value for name, value in encoder.state_dict().items()}
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
    }
    if "text_projection.weight" in state:
        found["text_projection"] = state["text_projection.weight"].T
    for name, value in state.items():
        if (match := re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", name)) and match[2] in OPEN_CLIP:
            found[f"transformer.resblocks.{match[1]}.{OPEN_CLIP[match[2]]}.{match[3]}"] = value
    for i in range(encoder.config.num_hidden_layers):
        for kind in ("weight", "bias"):
            parts = [state[f"encoder.layers.{i}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
            found[f"transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat(parts)
    return {prefix + name: value for name, value in found.items()}
