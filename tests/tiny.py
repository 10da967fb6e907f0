"""Tiny random-weight backbones of both Stable Diffusion families, saved in the diffusers layout."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, STOP = "<|startoftext|>", "<|endoftext|>"
TINY = {
    "sd1": {"attention_head_dim": 2, "use_linear_projection": False},
    "sd2": {"attention_head_dim": [1, 2, 4, 4], "use_linear_projection": True},
}


def tiny_tokenizer(first: tuple[str, ...] = (), **changes: str) -> CLIPTokenizer:
    """Letters are tokens, only `cat` is one token of its own; 32 tokens long. first: tokens before all others."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [*first, *letters, *(a + "</w>" for a in letters), "ca", "cat</w>", START, STOP]
    return CLIPTokenizer(
        vocab={name: i for i, name in enumerate(names)}, merges=[("c", "a"), ("ca", "t</w>")], model_max_length=32,
        **changes,
    )  # fmt: skip


def tiny_networks(family: str) -> dict:
    """Tiny networks whose queries and keys are scaled up, so that attention is far from uniform."""
    torch.manual_seed(7)
    tokenizer = tiny_tokenizer()
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=32, bos_token_id=len(tokenizer) - 2, eos_token_id=len(tokenizer) - 1,
        )
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, sample_size=128,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(16, 16, 32, 32), layers_per_block=1, norm_num_groups=8,
        cross_attention_dim=32, **TINY[family],
    )  # fmt: skip
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "to_q" in name or "to_k" in name:
                weight *= 4
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    if family == "sd1":
        scheduler = PNDMScheduler(**schedule, skip_prk_steps=True)  # names no prediction type
    else:
        scheduler = DDIMScheduler(**schedule, prediction_type="v_prediction", clip_sample=False)
    return {"vae": vae, "unet": unet, "text_encoder": text, "tokenizer": tokenizer, "scheduler": scheduler}
