"""Load a checked backbone's networks, once per process. Knows nothing of attention or of sampling."""

from dataclasses import dataclass
from functools import lru_cache
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from models.backbone.facts import BackboneFacts, check_backbone
from models.backbone.files import HEAVY_FILES, LIGHT_FILES, is_local, locate
from models.backbone.tokens import load_tokenizer
from models.errors import UserError
from models.hardware import resolve_device

if TYPE_CHECKING:
    import torch
    from transformers import CLIPTokenizer


@dataclass(frozen=True, eq=False)
class Backbone:
    """A backbone's networks, in evaluation mode on one device, and its facts."""

    facts: BackboneFacts
    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: "CLIPTokenizer"
    scheduler: Any
    device: "torch.device"
    dtype: "torch.dtype"

    def encode_prompts(self, prompts: list[str]) -> "torch.Tensor":
        """Prompts -> (B, L, C) text embeddings, padded and truncated to the tokenizer's length L."""
        import torch

        ids = self.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        with torch.no_grad():
            return self.text_encoder(ids.to(self.device))[0]


def load_backbone(name: str, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a backbone once per process. auto: a GPU in float16 where there is one, else the CPU in float32."""
    device = resolve_device(device)
    if dtype == "auto":
        dtype = "float16" if device.startswith("cuda") else "float32"
    return _load(name, device, dtype)


def load_network(facts: BackboneFacts, part: str, device: str = "cpu", dtype: str = "float32") -> Any:
    """One network of a checked backbone, frozen and in evaluation mode: 'vae', 'unet' or 'text_encoder'."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    kind: Any = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}[part]
    folder = facts.folder if is_local(facts.name) else locate(facts.name, LIGHT_FILES + HEAVY_FILES)
    set_verbosity_error()  # what transformers reports over several lines, missing tensors, is refused below
    choices = {"torch_dtype": getattr(torch, dtype), "local_files_only": True, "output_loading_info": True}
    try:
        loaded, found = kind.from_pretrained(folder, subfolder=part, **choices)
        if missing := sorted(found["missing_keys"]):
            raise UserError(f"{len(missing)} tensors are missing, as {missing[0]}")
    except Exception as error:  # of diffusers, transformers, safetensors and torch
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise UserError(
            f"backbone {facts.name}: {part}/ could not be loaded, its weights and its config.json are not of one "
            f"network ({why}); fetch it again"
        ) from error
    return loaded.to(device).eval().requires_grad_(False)


def load_scheduler(facts: BackboneFacts) -> Any:
    """The DDIM scheduler of a checked backbone; its `alphas_cumprod` are (1000,) float32."""
    from diffusers import DDIMScheduler

    try:
        return DDIMScheduler.from_pretrained(facts.folder, subfolder="scheduler", local_files_only=True)
    except Exception as error:  # of diffusers, torch and numpy, for values that no schedule can have
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise UserError(
            f"backbone {facts.name}: scheduler/scheduler_config.json is not valid ({why}); fetch it again"
        ) from error


@lru_cache(maxsize=2)
def _load(name: str, device: str, dtype: str) -> Backbone:
    import torch

    from models.hardware import keep_freed_memory

    if device == "cpu":
        keep_freed_memory()
    facts = check_backbone(name)
    return Backbone(
        facts=facts,
        vae=load_network(facts, "vae", device, dtype),
        unet=load_network(facts, "unet", device, dtype),
        text_encoder=load_network(facts, "text_encoder", device, dtype),
        tokenizer=load_tokenizer(facts.folder),
        scheduler=load_scheduler(facts),
        device=torch.device(device),
        dtype=getattr(torch, dtype),
    )
