"""Stable Diffusion 1.x and 2.x, and pocket, which has parts of the same classes: facts, loading, networks.

The parts are a UNet2DConditionModel, an AutoencoderKL, a CLIPTextModel with its tokenizer, and a DDIM scheduler, in the
diffusers layout. Importing it imports no torch. Knows nothing of sampling or of masks. Letters as in
models/backbone/protocol.py.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from models.backbone.files import EXPECTED, read_json, refuse_missing
from models.backbone.protocol import BackboneFacts, Conditioning
from models.backbone.tokens import load_tokenizer
from models.backbone.unet.checks import Checks, refuse_other_networks
from models.backbone.unet.facts import facts_from
from models.backbone.unet.watched import UNetBackbone
from models.backbone.weights.networks import load_network
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
# Stored as one of these groups of files.
TOKENIZER = (("tokenizer/tokenizer.json",), ("tokenizer/vocab.json", "tokenizer/merges.txt"))
LIGHT_FILES = ["model_index.json", *CONFIGS.values(), "tokenizer/*"]
PARTS = ("vae", "unet", "text_encoder")


def facts_of(name: str, folder: Path) -> BackboneFacts:
    """Facts of the backbone in a folder; UserError if it is not valid."""
    for part in ("transformer", "text_encoder_2"):
        if (folder / part).is_dir():
            raise UserError(f"backbone {name}: {EXPECTED}, got an architecture with a {part}; choose another")
    config = {part: read_json(name, folder / file) for part, file in CONFIGS.items()}
    refuse_missing(name, folder, (TOKENIZER,))
    refuse_other_networks(name, config["unet"], config["vae"], config["scheduler"], _checks(**config))
    facts = facts_from(name, folder, PIPELINE, config["unet"], config["vae"], config["scheduler"])
    return replace(facts, parts=PARTS)


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
