"""Find, check and load a backbone: `pocket`, or a Stable Diffusion 1.x / 2.x folder or hub id in the diffusers layout.

`check_backbone`, `load_tokenizer` and `category_span` import no torch, so that bad input is refused before anything
heavy starts. Knows nothing of attention or of sampling.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import CLIPTokenizer

POCKET = Path(__file__).parent / "pocket" / "weights"
CONFIGS = {
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "text_encoder": "text_encoder/config.json",
    "scheduler": "scheduler/scheduler_config.json",
}
# Each part comes as one of these groups of files.
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
EXPECTED = "expected Stable Diffusion 1.x or 2.x in the diffusers layout"


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
                raise ValueError(f"sampling.{field}: expected a multiple of {self.multiple}, got {side}; change it")
        return (H, W), (H // self.vae_factor, W // self.vae_factor)


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


def check_backbone(name: str) -> BackboneFacts:
    """Facts of the named backbone, or a ValueError of one line. Fetches no weights, imports no torch."""
    folder = _locate(name, LIGHT_FILES)
    _refuse_other_pipelines(name, folder)
    config = {part: _read(name, folder / file) for part, file in CONFIGS.items()}
    _refuse_missing(name, folder, (TOKENIZER, *WEIGHTS) if _is_local(name) else (TOKENIZER,))
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


def load_backbone(name: str, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a backbone once per process. auto: a GPU in float16 where there is one, else the CPU in float32."""
    device = resolve_device(device)
    if dtype == "auto":
        dtype = "float16" if device.startswith("cuda") else "float32"
    return _load(name, device, dtype)


def resolve_device(device: str) -> str:
    """'auto' is the GPU where there is one; ValueError for a device this machine lacks."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= found:
        raise ValueError(
            f"run.device: expected a device of this machine, got {device!r} and {found} GPUs are found; "
            "use 'auto' or 'cpu'"
        )
    return device


def load_network(facts: BackboneFacts, part: str, device: str = "cpu", dtype: str = "float32") -> Any:
    """One network of a checked backbone, frozen and in evaluation mode: 'vae', 'unet' or 'text_encoder'."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    kind: Any = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}[part]
    folder = facts.folder if _is_local(facts.name) else _locate(facts.name, LIGHT_FILES + HEAVY_FILES)
    set_verbosity_error()  # what transformers reports over several lines, missing tensors, is refused below
    choices = {"torch_dtype": getattr(torch, dtype), "local_files_only": True, "output_loading_info": True}
    try:
        loaded, found = kind.from_pretrained(folder, subfolder=part, **choices)
        if missing := sorted(found["missing_keys"]):
            raise ValueError(f"{len(missing)} tensors are missing, as {missing[0]}")
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise ValueError(
            f"backbone {facts.name}: {part}/ could not be loaded, its weights and its config.json are not of one "
            f"network ({why}); fetch it again"
        ) from error
    return loaded.to(device).eval().requires_grad_(False)


def load_scheduler(facts: BackboneFacts) -> Any:
    """The DDIM scheduler of a checked backbone; its `alphas_cumprod` are (1000,) float32."""
    from diffusers import DDIMScheduler

    return DDIMScheduler.from_pretrained(facts.folder, subfolder="scheduler", local_files_only=True)


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


@lru_cache(maxsize=2)
def load_tokenizer(folder: Path) -> "CLIPTokenizer":
    """The tokenizer of a checked backbone's folder. Imports no torch."""
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # of json, of the file system, and a bare Exception of the tokenizers library
        raise ValueError(f"backbone {folder}: tokenizer/ cannot be read ({error}); fetch it again") from error


def category_span(tokenizer: "CLIPTokenizer", prompt: str, category: str) -> list[int]:
    """Positions of the category's first occurrence in the prompt's padded token sequence (the start token is 0).

    The category's byte-pair tokens are sought as a run among the prompt's (DAAM's rule, first occurrence only),
    ignoring case and never from within a word: "cat" is not in "bobcat". A category absent from the prompt, or behind
    the tokenizer's truncation, is a ValueError.

    An empty category in an empty prompt, which the paper's ablation without a prior asks for, has no word of its own:
    its positions are all those after the start token, the end token's and the padding's, where words would stand.
    """
    if not prompt and not category:
        return list(range(1, tokenizer.model_max_length))
    words = tokenizer(category.lower(), add_special_tokens=False).input_ids
    tokens = tokenizer(prompt.lower(), add_special_tokens=False, verbose=False).input_ids
    begins = [True, *(piece.endswith("</w>") for piece in tokenizer.convert_ids_to_tokens(tokens))]  # a word, here
    starts = (i for i in range(len(tokens) - len(words) + 1) if begins[i] and tokens[i : i + len(words)] == words)
    start = next(starts, None) if words else None
    if start is None:
        raise ValueError(f"prompt: expected one that names its category {category!r}, got {prompt!r}; add the word")
    room = tokenizer.model_max_length - 2  # the start and end tokens
    if start + len(words) > room:
        raise ValueError(
            f"prompt: category {category!r} stands behind the {room} tokens that are read of {prompt!r}; shorten it"
        )
    return [1 + start + i for i in range(len(words))]


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


def _is_local(name: str) -> bool:
    return name == "pocket" or Path(name).exists()


def _locate(name: str, patterns: list[str]) -> Path:
    """The folder of a backbone; a hub id's files are taken from the user's cache, else fetched."""
    if name == "pocket":
        return POCKET
    if Path(name).is_dir():
        return Path(name)
    if Path(name).exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ValueError(f"backbone: {EXPECTED}, got {name!r}, which is no folder; name 'pocket', a folder or a hub id")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except OSError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (OSError, ValueError, HTTPError) as error:
        raise ValueError(
            f"backbone: {name!r} is no folder here and could not be fetched as a hub id ({type(error).__name__}); "
            "check the name and the network, or give a folder"
        ) from error


def _read(name: str, file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"backbone {name}: {EXPECTED}, but {file.parent.name}/{file.name} is missing; add it")
    try:
        found = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        message = f"backbone {name}: {file.parent.name}/{file.name} is not valid json; fetch it again"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        raise ValueError(f"backbone {name}: {file.parent.name}/{file.name} holds no mapping; fetch it again")
    return found


def _refuse_missing(name: str, folder: Path, parts: tuple) -> None:
    for choices in parts:
        there = [files for files in choices if all((folder / file).is_file() for file in files)]
        if not there:
            raise ValueError(f"backbone {name}: {EXPECTED}, but {choices[0][0]} is missing; add it")
        for file in there[0]:
            if file.endswith(".safetensors") and not _is_whole(folder / file):
                raise ValueError(f"backbone {name}: {file} is damaged or cut short; fetch it again")


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says; reads the header alone."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(min(length, 100_000_000)))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return False
    return file.stat().st_size == 8 + length + max(ends, default=0)


def _refuse_other_pipelines(name: str, folder: Path) -> None:
    """By the pipeline's name, so that SDXL, SD 3, Flux ... are called what they are rather than incomplete."""
    index = folder / "model_index.json"
    pipeline = _read(name, index).get("_class_name", "") if index.is_file() else ""
    if pipeline not in ("", "StableDiffusionPipeline"):
        raise ValueError(f"backbone {name}: {EXPECTED}, got a {pipeline}; choose a StableDiffusionPipeline")
    for part in ("transformer", "text_encoder_2"):
        if (folder / part).is_dir():
            raise ValueError(f"backbone {name}: {EXPECTED}, got another architecture, with a {part}; choose another")


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
            raise ValueError(f"backbone {name}: {EXPECTED}; {part}/config.json lacks {key}; fetch it again")
    if not isinstance(vae.get("scaling_factor", 1.0), (int, float)):
        found["vae/config.json: scaling_factor"] = (vae["scaling_factor"], ("a number",))
    size = unet["sample_size"]
    if not all(isinstance(side, int) and side > 0 for side in (size if isinstance(size, list) else [size])):
        found["unet/config.json: sample_size"] = (size, ("a number of cells",))
    for field, (got, allowed) in found.items():
        if got not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise ValueError(f"backbone {name}: {EXPECTED}; {field}: expected {wanted}, got {got}; choose another")
