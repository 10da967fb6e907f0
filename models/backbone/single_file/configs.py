"""The configurations that a single file lacks, of Stable Diffusion 1.x, 2.x and XL, as a folder as diffusers has it.

The values are those of the models' published configurations. A folder beside the file, with its name and no suffix, is
used in their place. Imports no torch, loads no network.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from models.atomic import replacing_folder
from models.paths import cache_folder

START, STOP = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2  # of CLIP's vocabulary
REVISION = "1"  # changes with what is written, so that an older folder in the cache is not read

UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "center_input_sample": False, "downsample_padding": 1,
    "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
    "norm_eps": 1e-5, "norm_num_groups": 32, "out_channels": 4,
}  # fmt: skip
FOUR_BLOCKS: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280, 1280], "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}  # fmt: skip
UNET_1 = UNET | FOUR_BLOCKS | {"attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64}
UNET_2 = UNET | FOUR_BLOCKS | {
    "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": True,
}  # fmt: skip
UNET_XL = UNET | {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "projection_class_embeddings_input_dim": 2816, "sample_size": 128, "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "use_linear_projection": True,
}  # fmt: skip
VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3, "latent_channels": 4, "layers_per_block": 2,
    "norm_num_groups": 32, "out_channels": 3, "sample_size": 512, "up_block_types": ["UpDecoderBlock2D"] * 4,
    "scaling_factor": 0.18215,
}  # fmt: skip
VAE_XL = VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}
TEXT: dict[str, Any] = {
    "bos_token_id": 0, "eos_token_id": 2, "layer_norm_eps": 1e-5, "max_position_embeddings": 77,
    "model_type": "clip_text_model", "pad_token_id": 1, "vocab_size": 49408,
}  # fmt: skip
TEXT_L = TEXT | {
    "architectures": ["CLIPTextModel"], "hidden_act": "quick_gelu", "hidden_size": 768, "intermediate_size": 3072,
    "num_attention_heads": 12, "num_hidden_layers": 12, "projection_dim": 768,
}  # fmt: skip
TEXT_H = TEXT | {  # 23 layers of 24: the last but one is the output
    "architectures": ["CLIPTextModel"], "hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096,
    "num_attention_heads": 16, "num_hidden_layers": 23, "projection_dim": 512,
}  # fmt: skip
TEXT_G = TEXT | {
    "architectures": ["CLIPTextModelWithProjection"], "hidden_act": "gelu", "hidden_size": 1280,
    "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32, "projection_dim": 1280,
}  # fmt: skip
SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "num_train_timesteps": 1000, "prediction_type": "epsilon", "set_alpha_to_one": False,
    "steps_offset": 1,
}  # fmt: skip

VELOCITY = SCHEDULER | {"prediction_type": "v_prediction"}

ONE = {"unet": UNET_1, "vae": VAE, "text_encoder": TEXT_L, "scheduler": SCHEDULER}
TWO = {"unet": UNET_2 | {"sample_size": 96}, "vae": VAE, "text_encoder": TEXT_H}
XL = {"unet": UNET_XL, "vae": VAE_XL, "text_encoder": TEXT_L, "text_encoder_2": TEXT_G}
# Kind -> the configuration of each part. Files of 2.x do not tell their image size or what they predict.
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "1.x": ONE,
    "2.x base": TWO | {"unet": UNET_2 | {"sample_size": 64}, "scheduler": SCHEDULER},
    "2.x": TWO | {"scheduler": VELOCITY},
    "XL": XL | {"scheduler": SCHEDULER},
    "XL v": XL | {"scheduler": VELOCITY},
    "XL v ztsnr": XL | {"scheduler": VELOCITY | {"rescale_betas_zero_snr": True}},
}  # fmt: skip


def folder_of(kind: str) -> Path:
    """The folder with a kind's configurations and tokenizers, in the user's cache; written if it is not there."""
    folder = cache_folder() / "single-file" / f"{kind.replace(' ', '-')}-{REVISION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(folder) as partial:
            _write(kind, partial)
    return folder


def _write(kind: str, folder: Path) -> None:
    is_xl = kind.startswith("XL")
    pipeline = {"_class_name": "StableDiffusionXLPipeline" if is_xl else "StableDiffusionPipeline"}
    for part, config in KINDS[kind].items():
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        _write_json(folder / part / name, config)
        pipeline[part] = ["maskmill", part]  # type: ignore[assignment]
    _write_json(folder / "model_index.json", pipeline | ({"force_zeros_for_empty_prompt": True} if is_xl else {}))
    _write_tokenizer(folder / "tokenizer", "!" if kind.startswith("2") else STOP)
    if is_xl:
        _write_tokenizer(folder / "tokenizer_2", "!")


def _write_tokenizer(folder: Path, padding: str) -> None:
    """CLIP's tokenizer, from the vocabulary that open_clip ships."""
    import open_clip
    from open_clip.tokenizer import bytes_to_unicode

    with gzip.open(Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as lines:
        merges = lines.read().split("\n")[1 : MERGES + 1]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge.split()) for merge in merges)]
    _write_json(folder / "vocab.json", {word: i for i, word in enumerate([*words, START, STOP])})
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    tokens = {"bos_token": START, "eos_token": STOP, "unk_token": STOP, "pad_token": padding}
    _write_json(folder / "tokenizer_config.json", tokens | {"model_max_length": 77})


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")
