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
from models.backbone.unet.checks import Checks, refuse_other_networks
from models.backbone.unet.facts import facts_from
from models.backbone.unet.watched import UNetBackbone
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
    refuse_other_networks(name, config["unet"], config["vae"], config["scheduler"], _checks(**config))
    return facts_from(name, folder, PIPELINE, config["unet"], config["vae"], config["scheduler"])


def _checks(unet: dict, text_encoder: dict, **_: dict) -> Checks:
    width = text_encoder.get("hidden_size")
    return {
        "unet/config.json: addition_embed_type": (unet.get("addition_embed_type"), (None,)),
        "unet/config.json: cross_attention_dim": (unet.get("cross_attention_dim"), (width,)),
        "text_encoder/config.json: model_type": (text_encoder.get("model_type"), ("clip_text_model", "clip")),
    }


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

    def unconditional(self) -> Conditioning:
        return self.encode_text([""])

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
    from transformers import CLIPTextModel, CLIPTextModelWithProjection
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    network_class: Any = {
        "vae": AutoencoderKL, "unet": UNet2DConditionModel,
        "text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection,
    }[part]  # fmt: skip
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
