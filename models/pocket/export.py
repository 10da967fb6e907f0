"""Write pocket's weights folder from a pretraining run, and read it: diffusers' layout, CLIP, the judges.

Safetensors in half precision, at most 40 MB in total; the folder is written beside its final place and renamed.
Knows nothing of training.
"""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from models.atomic import replacing_folder
from models.errors import UserError
from models.pocket import networks, vocabulary
from models.pocket.card import write_card

MAX_BYTES = 40_000_000
FILES = {
    "vae": {"": "vae/diffusion_pytorch_model.safetensors"},
    "diffusion": {
        "unet.": "unet/diffusion_pytorch_model.safetensors",
        "text_encoder.": "text_encoder/model.safetensors",
    },
    "clip": {"": "clip/open_clip_model.safetensors"},
    "classifier": {"": "judges/classifier.safetensors"},
    "oracle": {"": "judges/oracle.safetensors"},
}  # network -> prefix of its parameters' names -> file


def export(
    folder: Path,
    vae: Any,
    denoiser: nn.ModuleDict,
    clip: nn.Module,
    judges: dict[str, nn.Module],
    training: dict[str, Any],
) -> Path:
    """Write all files that ship with pocket, and the card from the training's facts; UserError above 40 MB."""
    with replacing_folder(folder) as partial:
        for name, part in (("vae", vae), ("unet", denoiser["unet"]), ("text_encoder", denoiser["text_encoder"])):
            part.cpu().half().save_pretrained(partial / name, safe_serialization=True)
        networks.scheduler().save_pretrained(partial / "scheduler")
        _write_tokenizer(partial / "tokenizer")
        (partial / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n")
        _write_weights(clip, partial / FILES["clip"][""])
        (partial / "clip" / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": networks.CLIP_CONFIG}, indent=2) + "\n"
        )
        for name, judge in judges.items():
            _write_weights(judge, partial / FILES[name][""])
        (partial / "training.json").write_text(json.dumps(training, indent=2) + "\n")
        write_card(partial)
        size = sum(f.stat().st_size for f in partial.rglob("*") if f.is_file())
        if size > MAX_BYTES:
            raise UserError(
                f"pocket's weights: expected at most {MAX_BYTES / 1e6:.0f} MB, got {size / 1e6:.1f} MB; make its "
                "networks smaller"
            )
    return folder


def load_weights(folder: Path, name: str, network: nn.Module) -> nn.Module:
    """Load the weights of network `name` from an exported folder into it."""
    weights = {
        prefix + k: v.float() for prefix, file in FILES[name].items() for k, v in load_file(folder / file).items()
    }
    network.load_state_dict(weights)
    return network


def facts_of(folder: Path) -> dict[str, Any]:
    """How an exported folder's weights were trained; UserError if it is not such a folder."""
    if not (folder / "training.json").is_file():
        raise UserError(
            f"start: expected a folder written by `maskmill pretrain`, but {folder} has no training.json; check it"
        )
    return json.loads((folder / "training.json").read_text())


def _write_weights(network: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in network.cpu().state_dict().items()}, path)


def _write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, and CLIP's vocab.json and merges.txt for readers that know only those."""
    tokenizer = vocabulary.tokenizer()
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary.tokens(), ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in vocabulary.merges())]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
