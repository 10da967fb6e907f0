"""Stable Diffusion's published configurations with random weights, as folders that load like any backbone.

For measurements that depend only on a network's size: memory, time, and that all parts fit together.
"""

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


def full_size(name: str, folder: Path) -> Path:
    """Write the named configuration with random weights in half precision, and with pocket's tokenizer."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    config = PUBLISHED[name]
    tokenizer = CLIPTokenizer.from_pretrained(POCKET_FOLDER / "tokenizer", model_max_length=77)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(**config["text"], **ends, vocab_size=49408, max_position_embeddings=77)
    vae = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
    }
    tokenizer.save_pretrained(folder / "tokenizer")
    UNet2DConditionModel(**config["unet"]).half().save_pretrained(folder / "unet")
    AutoencoderKL(**vae).half().save_pretrained(folder / "vae")
    CLIPTextModel(text).half().save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=config["prediction_type"]
    ).save_pretrained(folder / "scheduler")
    return folder
