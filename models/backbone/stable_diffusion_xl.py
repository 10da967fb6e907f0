"""Stable Diffusion XL, its Turbo and Lightning variants, and UNets distilled from it: facts, loading, two texts.

Two text encoders read a prompt: the embeddings of each one's last layer but one lie side by side, and the second's
pooled embedding goes to the UNet beside the image's size ("micro-conditioning", arXiv 2307.01952, section 2.2). All is
as in diffusers' StableDiffusionXLPipeline. Importing it imports no torch. Knows nothing of sampling or of masks.
Letters as in models/backbone/protocol.py.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.backbone.files import EXPECTED, read_json, refuse_missing
from models.backbone.protocol import BackboneFacts, Conditioning
from models.backbone.stable_diffusion import CONFIGS as COMMON_CONFIGS
from models.backbone.stable_diffusion import PARTS as COMMON_PARTS
from models.backbone.stable_diffusion import TOKENIZER, load_scheduler
from models.backbone.tokens import load_tokenizer
from models.backbone.unet.checks import Checks, refuse_other_networks
from models.backbone.unet.facts import attention_halvings, facts_from
from models.backbone.unet.watched import UNetBackbone
from models.backbone.weights.networks import load_network
from models.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import CLIPTokenizer

PIPELINE = "StableDiffusionXLPipeline"
CONFIGS = COMMON_CONFIGS | {"text_encoder_2": "text_encoder_2/config.json"}
TOKENIZER_2 = tuple(tuple(file.replace("tokenizer/", "tokenizer_2/") for file in files) for files in TOKENIZER)
LIGHT_FILES = ["model_index.json", *CONFIGS.values(), "tokenizer/*", "tokenizer_2/*"]
PARTS = (*COMMON_PARTS, "text_encoder_2")
NUM_SIZES = 6  # what the UNet is told of an image: original size, the crop's corner, target size


def facts_of(name: str, folder: Path) -> BackboneFacts:
    """Facts of the backbone in a folder; UserError if it is not valid."""
    index = read_json(name, folder / "model_index.json")
    _refuse_refiner(name, index)
    config = {part: read_json(name, folder / file) for part, file in CONFIGS.items()}
    refuse_missing(name, folder, (TOKENIZER, TOKENIZER_2))
    unet, vae, scheduler = config["unet"], config["vae"], config["scheduler"]
    refuse_other_networks(name, unet, vae, scheduler, _checks(**config))
    _refuse_other_ids(name, folder)
    facts = facts_from(name, folder, PIPELINE, unet, vae, scheduler)
    upcast = ("vae",) if vae.get("force_upcast", True) else ()
    return replace(facts, attention_halvings=attention_halvings(unet), parts=PARTS, upcast=upcast)


def _refuse_refiner(name: str, index: dict[str, Any]) -> None:
    """UserError for SDXL's refiner, which has the second text encoder alone and is told how beautiful an image is."""
    lacking = [part for part in ("text_encoder", "text_encoder_2") if (index.get(part) or [None])[0] is None]
    if lacking or index.get("requires_aesthetics_score"):
        why = f"without a {lacking[0]}" if lacking else "that requires an aesthetics score"
        raise UserError(f"backbone {name}: {EXPECTED}, got one {why}, as SDXL's refiner is; choose the base")


def _refuse_other_ids(name: str, folder: Path) -> None:
    """UserError unless both tokenizers give a prompt the same ids: a category has one span in both embeddings."""
    first, second = (load_tokenizer(folder, part) for part in ("tokenizer", "tokenizer_2"))
    if (first.get_vocab(), first.model_max_length) != (second.get_vocab(), second.model_max_length):
        raise UserError(
            f"backbone {name}: {EXPECTED}; tokenizer_2/: expected the vocabulary and length of tokenizer/, got others; "
            "download it again"
        )


def _checks(unet: dict, vae: dict, text_encoder: dict, text_encoder_2: dict, scheduler: dict) -> Checks:
    width = sum(encoder.get("hidden_size", 0) for encoder in (text_encoder, text_encoder_2))
    added = text_encoder_2.get("projection_dim", 512) + NUM_SIZES * (unet.get("addition_time_embed_dim") or 0)
    texts = ("clip_text_model", "clip")
    return {
        "unet/config.json: addition_embed_type": (unet.get("addition_embed_type"), ("text_time",)),
        "unet/config.json: cross_attention_dim": (unet.get("cross_attention_dim"), (width,)),
        "unet/config.json: projection_class_embeddings_input_dim": (
            unet.get("projection_class_embeddings_input_dim"),
            (added,),
        ),
        "unet/config.json: time_cond_proj_dim": (unet.get("time_cond_proj_dim"), (None,)),  # distilled guidance: LCM
        "unet/config.json: encoder_hid_dim_type": (unet.get("encoder_hid_dim_type"), (None,)),
        "vae/config.json: latents_mean": (vae.get("latents_mean"), (None,)),
        "text_encoder/config.json: model_type": (text_encoder.get("model_type"), texts),
        "text_encoder_2/config.json: model_type": (text_encoder_2.get("model_type"), texts),
    }


@dataclass(frozen=True)
class SizedConditioning(Conditioning):
    """tokens: (B, L, width of both encoders); pooled: (B, P), the second text encoder's projected embedding."""

    pooled: "torch.Tensor"


@dataclass(frozen=True, eq=False)
class StableDiffusionXL(UNetBackbone):
    """A loaded backbone, with the interface of models/backbone/protocol.py.

    tokenizer: the first text encoder's; tokenizer_2 gives the same ids, and pads with other tokens.
    zeros_without_prompt: whether no prompt is zeros, which the network was trained on, in place of the empty prompt's.
    """

    text_encoder: Any
    text_encoder_2: Any
    tokenizer_2: "CLIPTokenizer"
    zeros_without_prompt: bool

    @property
    def networks(self) -> tuple[Any, ...]:
        return self.vae, self.unet, self.text_encoder, self.text_encoder_2

    def encode_text(self, prompts: list[str]) -> SizedConditioning:
        import torch

        pairs = ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2))
        with torch.no_grad():
            first, second = (self._encoded(tokenizer, encoder, prompts) for tokenizer, encoder in pairs)
        tokens = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=2)
        return SizedConditioning(tokens, second.text_embeds)

    def _encoded(self, tokenizer: "CLIPTokenizer", encoder: Any, prompts: list[str]) -> Any:
        ids = tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return encoder(ids.to(self.device), output_hidden_states=True)

    def unconditional(self) -> SizedConditioning:
        empty = self.encode_text([""])
        if not self.zeros_without_prompt:
            return empty
        return SizedConditioning(empty.tokens.new_zeros(empty.tokens.shape), empty.pooled.new_zeros(empty.pooled.shape))

    def predict(self, latents: "torch.Tensor", t: int, conditioning: Conditioning) -> "torch.Tensor":
        assert isinstance(conditioning, SizedConditioning)
        height, width = (side * self.facts.vae_factor for side in latents.shape[2:])
        sizes = conditioning.tokens.new_tensor([height, width, 0, 0, height, width])  # uncropped, at its own size
        added = {"text_embeds": conditioning.pooled, "time_ids": sizes.expand(len(latents), -1)}
        tokens = conditioning.tokens
        return self.unet(
            latents.to(self.dtype), t, encoder_hidden_states=tokens, added_cond_kwargs=added
        ).sample.float()


def load(facts: BackboneFacts, device: str, dtype: str) -> StableDiffusionXL:
    """The loaded backbone; UserError if its networks cannot be loaded, or if its tokenizers do not fit together.

    The VAE is in float32 where its configuration says that it overflows in float16 (`force_upcast`).
    """
    import torch

    index = read_json(facts.name, facts.folder / "model_index.json")
    upcast = dtype == "float16" and "vae" in facts.upcast
    return StableDiffusionXL(
        facts=facts,
        vae=load_network(facts, "vae", device, "float32" if upcast else dtype),
        unet=load_network(facts, "unet", device, dtype),
        text_encoder=load_network(facts, "text_encoder", device, dtype),
        text_encoder_2=load_network(facts, "text_encoder_2", device, dtype),
        tokenizer=load_tokenizer(facts.folder),
        tokenizer_2=load_tokenizer(facts.folder, "tokenizer_2"),
        alpha_bar=load_scheduler(facts).alphas_cumprod,
        zeros_without_prompt=index.get("force_zeros_for_empty_prompt", True),
        device=torch.device(device),
        dtype=getattr(torch, dtype),
    )
