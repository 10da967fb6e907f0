"""Stable Diffusion's published configurations with random weights, as folders that load like any backbone.

For measurements that depend only on a network's size: memory, time, and that all parts fit together. As a command it
prints SDXL's parameters: `python -m benchmarks.fullsize`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.backbone.files import POCKET_FOLDER
from models.backbone.single_file.configs import KINDS

NOT_SIZES = ("_class_name", "architectures", "model_type")  # what is no argument of a network's class


def _parts(kind: str) -> dict[str, dict[str, Any]]:
    """Arguments of each part's class, by the configurations that maskmill has for single files."""
    return {
        part: {name: value for name, value in config.items() if name not in NOT_SIZES}
        for part, config in KINDS[kind].items()
    }


PUBLISHED = {"sd14": _parts("1.x"), "sd21": _parts("2.x")}
SDXL = _parts("XL")


def full_size(name: str, folder: Path) -> Path:
    """Write the named configuration with random weights in half precision, and with pocket's tokenizer."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel

    config = PUBLISHED[name]
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    UNet2DConditionModel(**config["unet"]).half().save_pretrained(folder / "unet")
    AutoencoderKL(**config["vae"]).half().save_pretrained(folder / "vae")
    CLIPTextModel(_text(config["text_encoder"], tokenizer)).half().save_pretrained(folder / "text_encoder")
    prediction = config["scheduler"]["prediction_type"]
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
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
        "vae": lambda: AutoencoderKL(**SDXL["vae"]),
        "text_encoder": lambda: CLIPTextModel(_text(SDXL["text_encoder"], tokenizer)),
        "text_encoder_2": lambda: CLIPTextModelWithProjection(_text(SDXL["text_encoder_2"], tokenizer)),
    }


def _tokenizer(**changes: str) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(POCKET_FOLDER / "tokenizer", model_max_length=77, **changes)


def _text(config: dict[str, Any], tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig

    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return CLIPTextConfig(**config | ends)


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
