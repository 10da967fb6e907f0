"""A single file of Stable Diffusion 1.x or 2.x at full size, with what else the published ones hold: 2 to 3 GB each."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.backbone.facts import check_backbone
from models.backbone.load import weight_bytes
from models.backbone.single_file.configs import folder_of
from models.backbone.weights.networks import load_network, outline
from tests import single_files

pytestmark = pytest.mark.slow

PARTS = ("unet", "vae", "text_encoder")
LAST = "cond_stage_model.model.transformer.resblocks.23."  # of 2.x: the layer before it is the output


def filled(network: Any, generator: torch.Generator) -> Any:
    """The network of the device meta with random weights in float16."""
    network = network.to(torch.float16).to_empty(device="cpu")
    with torch.no_grad():
        for value in network.parameters():
            noise = torch.randn(min(value.numel(), 999_983), generator=generator).half()
            value.copy_(noise.repeat(math.ceil(value.numel() / len(noise)))[: value.numel()].view_as(value))
    return network


def published(kind: str, networks: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The networks' weights by their original names, and tensors that published files have besides."""
    unet, vae, text = (dict(networks[part].named_parameters()) for part in PARTS)
    tensors = {f"model.diffusion_model.{single_files._unet(n, networks['unet'])}": v for n, v in unet.items()}
    tensors |= {f"first_stage_model.{single_files._vae(n, 4)}": single_files._conv(n, v) for n, v in vae.items()}
    tensors |= {"betas": torch.zeros(1000), "alphas_cumprod": torch.zeros(1000), "model_ema.decay": torch.tensor(0.9)}
    if kind == "1.x":
        start = "cond_stage_model.transformer.text_model."
        tensors |= {start + single_files._plain(name): value for name, value in text.items()}
        tensors[start + "embeddings.position_ids"] = torch.arange(77)[None]
    else:
        tensors |= single_files._open_clip(networks["text_encoder"], "cond_stage_model.model.")
        before = LAST.replace("23", "22")
        tensors |= {n.replace(before, LAST): v + 1 for n, v in tensors.items() if n.startswith(before)}
        tensors["cond_stage_model.model.text_projection"] = torch.zeros(1024, 1024)
        tensors["cond_stage_model.model.logit_scale"] = torch.zeros(())
    return {name: value.detach().contiguous().clone() for name, value in tensors.items()}


@pytest.mark.parametrize("kind, parameters", [("1.x", 1_066_235_307), ("2.x", 1_289_952_427)])
def test_every_weight_of_a_published_layout_is_read(tmp_path: Path, kind: str, parameters: int):
    facts: Any = SimpleNamespace(name=kind, folder=folder_of(kind))
    generator = torch.Generator().manual_seed(0)
    networks = {part: filled(outline(facts, part), generator) for part in PARTS}
    file = tmp_path / "model.safetensors"
    save_file(published(kind, networks), file)
    checked = check_backbone(str(file))
    assert weight_bytes(checked, "cpu", "float16") == 2 * parameters
    for part, network in networks.items():
        loaded = load_network(checked, part, dtype="float16").state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in network.named_parameters())
