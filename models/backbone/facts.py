"""What a backbone's json files tell: pocket, or Stable Diffusion 1.x / 2.x as a folder or hub id.

Imports no torch, so that bad input is refused before anything heavy starts. Loads no network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.backbone.files import (
    CONFIGS,
    EXPECTED,
    LIGHT_FILES,
    TOKENIZER,
    WEIGHTS,
    is_local,
    locate,
    read_json,
    refuse_missing,
)
from models.errors import UserError


@dataclass(frozen=True)
class BackboneFacts:
    """What a backbone's json files tell. Sizes are (height, width): images in pixels, latents in cells."""

    name: str
    folder: Path
    image_size: tuple[int, int]
    latent_channels: int
    latent_size: tuple[int, int]
    vae_factor: int
    multiple: int  # a side of the image must be a multiple of this, for the UNet to halve it evenly
    prediction_type: str  # epsilon or v_prediction
    num_cross: int  # cross-attention layers of the UNet
    num_halvings: int  # times the UNet halves the latent grid
    num_middle: int  # transformer blocks in the UNet's middle
    cross_width: int  # channels of what they attend to

    def sizes(self, height: int | None, width: int | None) -> tuple[tuple[int, int], tuple[int, int]]:
        """Image (H, W) and latent (h, w) size for the asked height and width; the backbone's own where None."""
        H, W = height or self.image_size[0], width or self.image_size[1]
        for field, side in (("height", H), ("width", W)):
            if side % self.multiple:
                raise UserError(f"sampling.{field}: expected a multiple of {self.multiple}, got {side}; change it")
        return (H, W), (H // self.vae_factor, W // self.vae_factor)


def check_backbone(name: str) -> BackboneFacts:
    """Facts of the named backbone, or a UserError of one line. Fetches no weights, imports no torch."""
    folder = locate(name, LIGHT_FILES)
    _refuse_other_pipelines(name, folder)
    config = {part: read_json(name, folder / file) for part, file in CONFIGS.items()}
    refuse_missing(name, folder, (TOKENIZER, *WEIGHTS) if is_local(name) else (TOKENIZER,))
    _refuse_other_networks(name, **config)
    factor = 2 ** (len(config["vae"]["block_out_channels"]) - 1)
    size = config["unet"]["sample_size"]
    h, w = size if isinstance(size, list) else (size, size)
    return BackboneFacts(
        name=name,
        folder=folder,
        image_size=(h * factor, w * factor),
        latent_channels=config["vae"]["latent_channels"],
        latent_size=(h, w),
        vae_factor=factor,
        multiple=factor * 2 ** (len(config["unet"]["block_out_channels"]) - 1),
        prediction_type=config["scheduler"].get("prediction_type", "epsilon"),
        num_cross=_num_cross(config["unet"]),
        num_halvings=len(config["unet"]["block_out_channels"]) - 1,
        num_middle=_num_middle(config["unet"]),
        cross_width=config["unet"]["cross_attention_dim"],
    )


def _num_cross(unet: dict[str, Any]) -> int:
    """Cross-attention layers of a UNet: those of its down and up blocks that have any, and the middle's."""
    down, up, num = unet["down_block_types"], unet["up_block_types"], len(unet["down_block_types"])
    given = unet.get("layers_per_block", 2), unet.get("transformer_layers_per_block", 1)
    layers, depth = ([value] * num if isinstance(value, int) else value for value in given)
    return (
        _num_middle(unet)
        + sum(n * d for kind, n, d in zip(down, layers, depth, strict=True) if "CrossAttn" in kind)
        + sum((n + 1) * d for kind, n, d in zip(up, layers[::-1], depth[::-1], strict=True) if "CrossAttn" in kind)
    )


def _num_middle(unet: dict[str, Any]) -> int:
    """Transformer blocks in a UNet's middle."""
    depth = unet.get("transformer_layers_per_block", 1)
    has = "CrossAttn" in (unet.get("mid_block_type", "UNetMidBlock2DCrossAttn") or "")
    return has * (depth if isinstance(depth, int) else depth[-1])


def _refuse_other_pipelines(name: str, folder: Path) -> None:
    """By the pipeline's name, so that SDXL, SD 3, Flux ... are called what they are rather than incomplete."""
    index = folder / "model_index.json"
    pipeline = read_json(name, index).get("_class_name", "") if index.is_file() else ""
    if pipeline not in ("", "StableDiffusionPipeline"):
        raise UserError(f"backbone {name}: {EXPECTED}, got a {pipeline}; choose a StableDiffusionPipeline")
    for part in ("transformer", "text_encoder_2"):
        if (folder / part).is_dir():
            raise UserError(f"backbone {name}: {EXPECTED}, got another architecture, with a {part}; choose another")


def _refuse_other_networks(name: str, unet: dict, vae: dict, text_encoder: dict, scheduler: dict) -> None:
    found = {
        "unet/config.json: _class_name": (unet.get("_class_name"), ("UNet2DConditionModel",)),
        "unet/config.json: in_channels": (unet.get("in_channels"), (vae.get("latent_channels"),)),
        "unet/config.json: addition_embed_type": (unet.get("addition_embed_type"), (None,)),
        "unet/config.json: num_class_embeds": (unet.get("num_class_embeds"), (None,)),
        "unet/config.json: class_embed_type": (unet.get("class_embed_type"), (None,)),
        "unet/config.json: cross_attention_dim": (unet.get("cross_attention_dim"), (text_encoder.get("hidden_size"),)),
        "vae/config.json: _class_name": (vae.get("_class_name"), ("AutoencoderKL",)),
        "text_encoder/config.json: model_type": (text_encoder.get("model_type"), ("clip_text_model", "clip")),
        "scheduler/scheduler_config.json: num_train_timesteps": (scheduler.get("num_train_timesteps", 1000), (1000,)),
        "scheduler/scheduler_config.json: prediction_type": (
            scheduler.get("prediction_type", "epsilon"),
            ("epsilon", "v_prediction"),
        ),
    }
    in_unet = ("sample_size", "down_block_types", "up_block_types", "block_out_channels", "cross_attention_dim")
    needed = [("unet", unet, key) for key in in_unet]
    needed += [("vae", vae, key) for key in ("block_out_channels", "latent_channels")]
    for part, config, key in needed:
        if not config.get(key):
            raise UserError(f"backbone {name}: {EXPECTED}; {part}/config.json lacks {key}; fetch it again")
    if not isinstance(vae.get("scaling_factor", 1.0), (int, float)):
        found["vae/config.json: scaling_factor"] = (vae["scaling_factor"], ("a number",))
    size = unet["sample_size"]
    if not all(isinstance(side, int) and side > 0 for side in (size if isinstance(size, list) else [size])):
        found["unet/config.json: sample_size"] = (size, ("a number of cells",))
    for field, (got, allowed) in found.items():
        if got not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise UserError(f"backbone {name}: {EXPECTED}; {field}: expected {wanted}, got {got}; choose another")
