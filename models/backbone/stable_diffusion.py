"""Stable Diffusion 1.x and 2.x, and pocket, which has parts of the same classes: facts, loading, networks.

The parts are a UNet2DConditionModel, an AutoencoderKL, a CLIPTextModel with its tokenizer, and a DDIM scheduler, in the
diffusers layout. Importing it imports no torch. Knows nothing of sampling or of masks. Letters as in
models/backbone/protocol.py.
"""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from models.backbone.files import EXPECTED, is_local, locate, read_json, refuse_missing
from models.backbone.protocol import BackboneFacts, Conditioning
from models.backbone.tokens import load_tokenizer
from models.backbone.unet import UNetBackbone, num_cross, num_middle
from models.errors import UserError

if TYPE_CHECKING:
    import torch

PIPELINE = "StableDiffusionPipeline"
CONFIGS = {
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "text_encoder": "text_encoder/config.json",
    "scheduler": "scheduler/scheduler_config.json",
}
# Each part is stored as one of its groups of files.
TOKENIZER = (("tokenizer/tokenizer.json",), ("tokenizer/vocab.json", "tokenizer/merges.txt"))
WEIGHTS = tuple(
    ((f"{part}/{stem}.safetensors",), (f"{part}/{old}.bin",))
    for part, stem, old in (
        ("unet", "diffusion_pytorch_model", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model", "diffusion_pytorch_model"),
        ("text_encoder", "model", "pytorch_model"),
    )
)
LIGHT_FILES = ["model_index.json", *CONFIGS.values(), "tokenizer/*"]
HEAVY_FILES = [group[0][0] for group in WEIGHTS]


def facts_of(name: str, folder: Path) -> BackboneFacts:
    """Facts of the backbone in a folder; UserError if it is not valid."""
    for part in ("transformer", "text_encoder_2"):
        if (folder / part).is_dir():
            raise UserError(f"backbone {name}: {EXPECTED}, got an architecture with a {part}; choose another")
    config = {part: read_json(name, folder / file) for part, file in CONFIGS.items()}
    refuse_missing(name, folder, (TOKENIZER, *WEIGHTS) if is_local(name) else (TOKENIZER,))
    _refuse_other_networks(name, **config)
    factor = 2 ** (len(config["vae"]["block_out_channels"]) - 1)
    size = config["unet"]["sample_size"]
    h, w = size if isinstance(size, list) else (size, size)
    num_halvings = len(config["unet"]["block_out_channels"]) - 1
    return BackboneFacts(
        name=name,
        folder=folder,
        family=PIPELINE,
        image_size=(h * factor, w * factor),
        latent_channels=config["vae"]["latent_channels"],
        latent_size=(h, w),
        vae_factor=factor,
        multiple=factor * 2**num_halvings,
        prediction_type=config["scheduler"].get("prediction_type", "epsilon"),
        num_cross=num_cross(config["unet"]),
        num_halvings=num_halvings,
        num_middle=num_middle(config["unet"]),
        cross_width=config["unet"]["cross_attention_dim"],
    )


def _refuse_other_networks(name: str, unet: dict, vae: dict, text_encoder: dict, scheduler: dict) -> None:
    checks = {
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
            raise UserError(f"backbone {name}: {EXPECTED}; {part}/config.json lacks {key}; download it again")
    if not isinstance(vae.get("scaling_factor", 1.0), (int, float)):
        checks["vae/config.json: scaling_factor"] = (vae["scaling_factor"], ("a number",))
    size = unet["sample_size"]
    if not all(isinstance(side, int) and side > 0 for side in (size if isinstance(size, list) else [size])):
        checks["unet/config.json: sample_size"] = (size, ("a number of cells",))
    for field, (got, allowed) in checks.items():
        if got not in allowed:
            expected = " or ".join(map(str, allowed))
            raise UserError(f"backbone {name}: {EXPECTED}; {field}: expected {expected}, got {got}; choose another")


@dataclass(frozen=True, eq=False)
class StableDiffusion(UNetBackbone):
    """A loaded backbone, with the interface of models/backbone/protocol.py."""

    text_encoder: Any

    @property
    def networks(self) -> tuple[Any, ...]:
        return self.vae, self.unet, self.text_encoder

    def encode_text(self, prompts: list[str]) -> Conditioning:
        import torch

        ids = self.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        with torch.no_grad():
            return Conditioning(self.text_encoder(ids.to(self.device))[0])

    def predict(self, latents: "torch.Tensor", t: int, conditioning: Conditioning) -> "torch.Tensor":
        return self.unet(latents.to(self.dtype), t, encoder_hidden_states=conditioning.tokens).sample.float()


def load(facts: BackboneFacts, device: str, dtype: str) -> StableDiffusion:
    """The loaded backbone; UserError if its networks cannot be loaded."""
    import torch

    return StableDiffusion(
        facts=facts,
        vae=load_network(facts, "vae", device, dtype),
        unet=load_network(facts, "unet", device, dtype),
        text_encoder=load_network(facts, "text_encoder", device, dtype),
        tokenizer=load_tokenizer(facts.folder),
        alpha_bar=load_scheduler(facts).alphas_cumprod,
        device=torch.device(device),
        dtype=getattr(torch, dtype),
    )


def load_network(facts: BackboneFacts, part: str, device: str = "cpu", dtype: str = "float32") -> Any:
    """One network of a checked backbone, frozen and in evaluation mode: 'vae', 'unet' or 'text_encoder'.

    UserError if it cannot be loaded.
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    network_class: Any = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}[part]
    folder = facts.folder if is_local(facts.name) else locate(facts.name, LIGHT_FILES + HEAVY_FILES)
    set_verbosity_error()  # transformers' report of missing tensors takes several lines; they are an error below
    options = {"torch_dtype": getattr(torch, dtype), "local_files_only": True, "output_loading_info": True}
    try:
        network, info = network_class.from_pretrained(folder, subfolder=part, **options)
        if missing_keys := sorted(info["missing_keys"]):
            raise UserError(f"{len(missing_keys)} tensors are missing, for example {missing_keys[0]}")
    except Exception as error:  # from diffusers, transformers, safetensors and torch
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise UserError(
            f"backbone {facts.name}: {part}/ could not be loaded: its weights do not match its config.json ({why}); "
            "download it again"
        ) from error
    return network.to(device).eval().requires_grad_(False)


def load_scheduler(facts: BackboneFacts) -> Any:
    """The DDIM scheduler of a checked backbone; its `alphas_cumprod` are (1000,) float32. UserError if not valid."""
    from diffusers import DDIMScheduler

    try:
        return DDIMScheduler.from_pretrained(facts.folder, subfolder="scheduler", local_files_only=True)
    except Exception as error:  # from diffusers, torch and numpy, for values that no schedule can have
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise UserError(
            f"backbone {facts.name}: scheduler/scheduler_config.json is not valid ({why}); download it again"
        ) from error
