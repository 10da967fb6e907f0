"""Stable Diffusion's published configurations with random weights, as folders that load like any backbone.

For measurements that depend only on a network's size: memory, time, and that all parts fit together. As a command it
prints SDXL's parameters: `python -m benchmarks.fullsize`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.backbone.files import POCKET_FOLDER

PUBLISHED: dict[str, dict[str, Any]] = {
    "sd14": {
        "unet": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
        "text": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        "prediction_type": "epsilon",
    },
    "sd21": {
        "unet": {
            "sample_size": 96,
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
        },
        "text": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
            "hidden_act": "gelu",
        },
        "prediction_type": "v_prediction",
    },
}


VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
SDXL: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "text": PUBLISHED["sd14"]["text"],
    "text_2": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "hidden_act": "gelu",
        "projection_dim": 1280,
    },
}


def full_size(name: str, folder: Path) -> Path:
    """Write the named configuration with random weights in half precision, and with pocket's tokenizer."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel

    config = PUBLISHED[name]
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    UNet2DConditionModel(**config["unet"]).half().save_pretrained(folder / "unet")
    AutoencoderKL(**VAE).half().save_pretrained(folder / "vae")
    CLIPTextModel(_text(config["text"], tokenizer)).half().save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=config["prediction_type"]
    ).save_pretrained(folder / "scheduler")
    return folder


def full_size_xl(folder: Path) -> Path:
    """Write Stable Diffusion XL with random weights in bfloat16 (7 GB), one network in memory at a time."""
    import torch
    from diffusers import EulerDiscreteScheduler

    tokenizer = _tokenizer()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        for part, make in _networks_xl(tokenizer).items():
            make().save_pretrained(folder / part)
    finally:
        torch.set_default_dtype(before)
    tokenizer.save_pretrained(folder / "tokenizer")
    _tokenizer(pad_token="!").save_pretrained(folder / "tokenizer_2")
    EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    ).save_pretrained(folder / "scheduler")
    parts = {part: ["diffusers or transformers", part] for part in _networks_xl(tokenizer)}
    index = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True, **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _networks_xl(tokenizer: Any) -> dict[str, Callable[[], Any]]:
    """What makes each network of Stable Diffusion XL."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    return {
        "unet": lambda: UNet2DConditionModel(**SDXL["unet"]),
        "vae": lambda: AutoencoderKL(**VAE, scaling_factor=0.13025),
        "text_encoder": lambda: CLIPTextModel(_text(SDXL["text"], tokenizer)),
        "text_encoder_2": lambda: CLIPTextModelWithProjection(_text(SDXL["text_2"], tokenizer)),
    }


def _tokenizer(**changes: str) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(POCKET_FOLDER / "tokenizer", model_max_length=77, **changes)


def _text(config: dict[str, Any], tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig

    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return CLIPTextConfig(**config, **ends, vocab_size=49408, max_position_embeddings=77)


def _print_parameters() -> None:
    """Each network's parameters, and their size where the VAE is in float32 and all else in two bytes each."""
    import torch

    with torch.device("meta"):
        counts = {
            part: sum(parameter.numel() for parameter in make().parameters())
            for part, make in _networks_xl(_tokenizer()).items()
        }
    sizes = {part: count * (4 if part == "vae" else 2) / 1e9 for part, count in counts.items()}
    for part, count in counts.items():
        print(f"{part:15} {count:>13,} parameters {sizes[part]:5.2f} GB")
    print(f"{'all':15} {sum(counts.values()):>13,} parameters {sum(sizes.values()):5.2f} GB")


if __name__ == "__main__":
    _print_parameters()
