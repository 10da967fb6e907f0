"""How strongly a LoRA counts by what peft and diffusers write beside its matrices, and their first names."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone
from models.backbone.lora.files import read_lora
from models.errors import UserError

QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
RANK = 4


def written(file, prefix="unet.", settings=None):
    tensors = {}
    for name in (QUERY, KEY):
        tensors[f"{prefix}{name}.lora_A.weight"] = torch.zeros(RANK, 16)
        tensors[f"{prefix}{name}.lora_B.weight"] = torch.zeros(16, RANK)
    save_file(tensors, file, None if settings is None else {"lora_adapter_metadata": json.dumps(settings)})
    return file


def scales(given) -> dict[str, float]:
    return {pair.layer.rpartition("_attn")[2]: pair.scale for pair in read_lora(str(given)).pairs}


@pytest.mark.parametrize(
    "settings, query, key",
    [
        (None, 1, 1),
        ({}, 1, 1),
        ({"unet.lora_alpha": 8}, 2, 2),
        ({"unet.lora_alpha": 8, "text_encoder.lora_alpha": 99}, 2, 2),
        ({"unet.lora_alpha": 8, "unet.use_rslora": True}, 8 / math.sqrt(RANK), 8 / math.sqrt(RANK)),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn2.to_k": 2}}, 2, 0.5),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {KEY: 2, "tn1.to_q": 1}}, 2, 0.5),
    ],
)
def test_alpha_is_that_of_the_header(tmp_path, settings, query, key):
    assert scales(written(tmp_path / "a.safetensors", settings=settings)) == {"1_to_q": query, "2_to_k": key}


def test_alpha_of_pefts_own_folder_is_that_of_its_config(tmp_path):
    written(tmp_path / "adapter_model.safetensors", "base_model.model.")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 8, "peft_type": "LORA"}))
    assert scales(tmp_path) == {"1_to_q": 2, "2_to_k": 2}
    for spoilt in ("{", "[1]", json.dumps({"lora_alpha": "eight"})):
        (tmp_path / "adapter_config.json").write_text(spoilt)
        with pytest.raises(UserError, match="not valid json|expected a number"):
            read_lora(str(tmp_path))


def test_the_first_names_of_a_text_encoders_attention_are_read(tiny_folders, tmp_path):
    """`to_q_lora` and `to_out_lora` were its query and output: fused, they change these and nothing else."""
    start = "text_encoder.text_model.encoder.layers.0.self_attn"
    ones = {f"{start}.{old}_lora.{end}.weight": torch.ones(*size) for old in ("to_q", "to_out")
            for end, size in (("down", (1, 32)), ("up", (32, 1)))}  # fmt: skip
    save_file(ones, tmp_path / "old.safetensors")
    plain = load_backbone(str(tiny_folders["sd1"])).text_encoder.state_dict()
    facts = check_backbone(str(tiny_folders["sd1"]), lora=(str(tmp_path / "old.safetensors"),))
    fused = load_backbone(facts).text_encoder.state_dict()
    changed = {name.partition("self_attn.")[2] for name in plain if not torch.equal(plain[name], fused[name])}
    assert changed == {"q_proj.weight", "out_proj.weight"}


@pytest.mark.parametrize(
    "name, what",
    [
        ("first_stage_model.decoder.conv_in.weight", "a whole backbone"),
        ("model.diffusion_model.input_blocks.0.0.weight", "a whole backbone"),
        ("transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight", "Flux or Stable Diffusion 3"),
        ("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", "Flux"),
        ("lora_unet_joint_blocks_0_x_block_attn_proj.lora_down.weight", "Stable Diffusion 3"),
        ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "a LoHa"),
        ("lora_unet_mid_block_attentions_0_proj_in.lokr_w1", "a LoKr"),
        ("lora_unet_mid_block_attentions_0_proj_in.oft_blocks", "an OFT"),
        ("lora_unet_mid_block_attentions_0_proj_in.lora_mid.weight", "three matrices"),
        ("lora_unet_out_2.diff", "a difference of whole weights"),
        ("control_model.input_blocks.0.0.weight", "a ControlNet"),
        ("unet.mid_block.attentions.0.proj_in.lora_magnitude_vector", "a DoRA"),
    ],
)
def test_another_file_is_refused_by_what_it_is(tmp_path, name, what):
    save_file({name: torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=what) as caught:
        read_lora(str(tmp_path / "x.safetensors"))
    assert "\n" not in str(caught.value)


def test_a_pointer_and_a_lora_with_nan_are_named(tiny_folders, tmp_path):
    (tmp_path / "p.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UserError, match="LFS"):
        read_lora(str(tmp_path / "p.safetensors"))
    pair = {
        f"unet.{QUERY}.lora_A.weight": torch.ones(1, 16),
        f"unet.{QUERY}.lora_B.weight": torch.ones(16, 1) * torch.nan,
    }
    save_file(pair, tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match="NaN"):
        load_backbone(check_backbone(str(tiny_folders["sd1"]), lora=(str(tmp_path / "nan.safetensors"),)))
