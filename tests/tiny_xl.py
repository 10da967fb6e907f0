"""A tiny random-weight Stable Diffusion XL of the real classes, saved in the diffusers layout.

As in SDXL, the UNet's first block has no attention, the others 2 and 10 transformer layers (here 1 and 2), and the
second tokenizer pads with another token than the first.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.tiny import tiny_tokenizer

UNET: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (16, 32, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "transformer_layers_per_block": [1, 1, 2],
    "attention_head_dim": [1, 2, 4],
    "use_linear_projection": True,
    "norm_num_groups": 8,
    "cross_attention_dim": 16 + 24,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 12 + 6 * 8,
}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def tiny_text(width: int, tokenizer: CLIPTokenizer, **changes: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=32, bos_token_id=len(tokenizer) - 2,
        eos_token_id=len(tokenizer) - 1, **changes,
    )  # fmt: skip


def tiny_xl(folder: Path, unet: dict[str, Any] | None = None, **vae: Any) -> Path:
    """The folder, as StableDiffusionXLPipeline.save_pretrained writes it; changes to the parts' configurations."""
    torch.manual_seed(7)
    tokenizer = tiny_tokenizer(("!",))
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8), norm_num_groups=4, sample_size=128, scaling_factor=0.13025, **vae,
        ),
        text_encoder=CLIPTextModel(tiny_text(16, tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(tiny_text(24, tokenizer, projection_dim=12, hidden_act="gelu")),
        tokenizer=tokenizer,
        tokenizer_2=tiny_tokenizer(("!",), pad_token="!"),
        unet=with_sharp_attention(UNet2DConditionModel(**UNET | (unet or {}))),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading"),
        add_watermarker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def with_sharp_attention(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The UNet with queries and keys scaled up, so that attention is far from uniform."""
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "to_q" in name or "to_k" in name:
                weight *= 4
    return unet


def edit(file: Path, **changes: Any) -> None:
    """Change fields of a json file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
