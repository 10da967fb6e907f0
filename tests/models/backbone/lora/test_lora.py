"""LoRAs fused into a backbone: against the definition on each layer, in every way of naming; others are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone
from models.backbone.lora.files import read_lora
from models.config.build import BuildConfig
from models.config.photos import MaskConfig
from models.errors import UserError
from tests.single_files import _unet
from tests.tiny_xl import tiny_xl

RANK, ALPHA = 3, 6.0


@pytest.fixture(scope="module")
def folders(tiny_folders, tmp_path_factory) -> dict[str, Path]:
    return {"sd1": tiny_folders["sd1"], "xl": tiny_xl(tmp_path_factory.mktemp("lora") / "xl")}


ENDS = (
    "attn1.to_q", "attn2.to_out.0", "ff.net.2", "proj_in", "resnets.0.conv1", "self_attn.q_proj", "mlp.fc1",
    "downsamplers.0.conv",
)  # fmt: skip


def changed_layers(backbone) -> dict[tuple[str, str], torch.nn.Module]:
    """Some layers by part and name: attention, a convolution, a 1x1 projection, the text encoders'."""
    found = {}
    for part in ("unet", "text_encoder", "text_encoder_2"):
        for name, module in getattr(backbone, part, torch.nn.Module()).named_modules():
            if name.endswith(ENDS):
                found[part, name] = module
    return found


def matrices(layers, seed=0):
    """A random down and up matrix of each layer."""
    generator = torch.Generator().manual_seed(seed)
    pairs = {}
    for key, layer in layers.items():
        out, width, *taps = layer.weight.shape
        ones = [1] * len(taps)
        pairs[key] = (
            torch.randn(RANK, width, *taps, generator=generator), torch.randn(out, RANK, *ones, generator=generator),
        )  # fmt: skip
    return pairs


def kohya(part: str, name: str, backbone) -> str:
    prefix = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}[part]
    if getattr(backbone, "text_encoder_2", None) is not None:
        prefix = prefix.replace("lora_te", "lora_te1") if part == "text_encoder" else prefix
        if part == "unet":
            name = _unet(f"{name}.weight", backbone.unet).removesuffix(".weight")
    text = "" if part == "unet" else "text_model_"
    return f"{prefix}_{text}{name.removeprefix('text_model.').replace('.', '_')}"


def write(file: Path, way: str, pairs, backbone) -> Path:
    tensors, metadata = {}, None
    for (part, name), (down, up) in pairs.items():
        if way == "kohya":
            key = kohya(part, name, backbone)
            tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
            tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
        else:
            tensors |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    if way == "peft":
        parts = {part for part, _ in pairs}
        metadata = {"lora_adapter_metadata": json.dumps({f"{p}.lora_alpha": ALPHA for p in parts} | {"unet.r": RANK})}
    save_file(tensors, file, metadata)
    return file


@pytest.mark.parametrize("family", ["sd1", "xl"])
@pytest.mark.parametrize("way", ["kohya", "peft", "diffusers"])
def test_each_layer_changes_by_the_definition_and_no_other(folders, tmp_path, family, way):
    plain = load_backbone(str(folders[family]))
    layers = changed_layers(plain)
    assert len({name.rsplit(".", 1)[-1] for _, name in layers}) >= 6
    pairs = matrices(layers)
    file = write(tmp_path / "style.safetensors", way, pairs, plain)
    fused = load_backbone(check_backbone(str(folders[family]), lora=(f"{file}:0.5",)))
    scale = 0.5 * (1 if way == "diffusers" else ALPHA / RANK)
    for part in ("unet", "text_encoder", "text_encoder_2"):
        ours, before = (getattr(b, part, None) for b in (fused, plain))
        if ours is None:
            continue
        for name, module in before.named_modules():
            if getattr(module, "weight", None) is None:
                continue
            expected = module.weight
            if (part, name) in pairs:
                down, up = pairs[part, name]
                change = torch.einsum("or,r...->o...", up.flatten(1), down)
                expected = expected + scale * change
            torch.testing.assert_close(ours.get_submodule(name).weight, expected, rtol=1e-5, atol=1e-5)


def test_diffusers_first_names_are_read(tmp_path):
    """`processor.to_out_lora` and `lora_linear_layer`, as diffusers wrote them in 2023."""
    names = [
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora",
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer",
        "up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora",
    ]
    tensors = {f"{name}.{end}.weight": torch.zeros(2, 2) for name in names for end in ("down", "up")}
    save_file(tensors, tmp_path / "old.safetensors")
    assert {(pair.part, pair.layer) for pair in read_lora(str(tmp_path / "old.safetensors")).pairs} == {
        ("unet", "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"),
        ("text_encoder", "encoder_layers_0_self_attn_q_proj"),
        ("unet", "up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"),
    }


def test_two_loras_add_up_and_a_folder_is_read(folders, tmp_path):
    plain = load_backbone(str(folders["sd1"]))
    layers = dict(list(changed_layers(plain).items())[:2])
    one, other = matrices(layers, 1), matrices(layers, 2)
    (tmp_path / "folder").mkdir()
    first = write(tmp_path / "folder" / "pytorch_lora_weights.safetensors", "diffusers", one, plain).parent
    second = write(tmp_path / "b.safetensors", "diffusers", other, plain)
    fused = load_backbone(check_backbone(str(folders["sd1"]), lora=(str(first), f"{second}:-2")))
    for (part, name), layer in layers.items():
        expected = layer.weight
        for pairs, weight in ((one, 1), (other, -2)):
            down, up = pairs[part, name]
            expected = expected + weight * torch.einsum("or,r...->o...", up.flatten(1), down)
        torch.testing.assert_close(getattr(fused, part).get_submodule(name).weight, expected)


def spoil(file: Path, kind: str) -> str:
    """Write a file that is not taken; returns what is said of it."""
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    pair = {f"{name}.lora_down.weight": torch.zeros(2, 16), f"{name}.lora_up.weight": torch.zeros(16, 2)}
    cases = {
        "width": ({f"{name}.lora_down.weight": torch.zeros(2, 320), f"{name}.lora_up.weight": torch.zeros(320, 2)},
                  "widths"),
        "layers": ({k.replace("down_blocks_0", "down_blocks_9"): v for k, v in pair.items()}, "architecture"),
        "half": ({f"{name}.lora_down.weight": torch.zeros(2, 16)}, "no up matrix"),
        "ranks": (pair | {f"{name}.lora_up.weight": torch.zeros(16, 3)}, "do not fit"),
        "lokr": ({f"{name}.lokr_w1": torch.zeros(2, 2)}, "LoKr"),
        "dora": (pair | {f"{name}.dora_scale": torch.zeros(2)}, "DoRA"),
        "model": ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2)}, "a whole backbone"),
        "second encoder": ({k.replace("lora_unet", "lora_te2"): v for k, v in pair.items()}, "architecture"),
    }  # fmt: skip
    tensors, words = cases[kind]
    save_file(tensors, file)
    return words


@pytest.mark.parametrize("kind", ["width", "layers", "half", "ranks", "lokr", "dora", "model", "second encoder"])
def test_another_file_is_refused_in_one_line(folders, tmp_path, kind):
    words = spoil(tmp_path / "x.safetensors", kind)
    with pytest.raises(UserError, match=words) as caught:
        check_backbone(str(folders["sd1"]), lora=(str(tmp_path / "x.safetensors"),))
    assert "\n" not in str(caught.value)


def test_a_lora_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x" * 30)
    (tmp_path / "b.bin").write_bytes(b"x")
    for given, words in (
        (tmp_path / "a.safetensors", "damaged"), (tmp_path / "b.bin", "safetensors file"),
        (tmp_path / "c", "not there"), (tmp_path, "not there"), (f"{tmp_path / 'a.safetensors'}:nan", "finite"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            read_lora(str(given))


def test_a_colon_in_a_path_is_no_weight(tmp_path):
    name = "lora_unet_x"
    file = tmp_path / "v1:2.safetensors"
    save_file({f"{name}.lora_down.weight": torch.zeros(2, 4), f"{name}.lora_up.weight": torch.zeros(4, 2)}, file)
    assert read_lora(str(file)).weight == 1.0 and read_lora(f"{file}:0.25").weight == 0.25


def test_configs_without_loras_keep_their_identity_and_others_differ():
    given = {"classes": ["ball"], "count": 1}
    assert "lora" not in BuildConfig.model_validate(given).identity()
    assert "lora" not in MaskConfig().identity()
    assert BuildConfig.model_validate(given | {"lora": ["a.safetensors"]}).identity()["lora"] == ["a.safetensors"]


def test_a_lora_of_the_whole_backbone_leaves_the_folder_alone(folders, tmp_path):
    copy = shutil.copytree(folders["sd1"], tmp_path / "copy")
    before = {file: file.read_bytes() for file in copy.rglob("*.safetensors")}
    plain = load_backbone(str(copy))
    file = write(tmp_path / "s.safetensors", "kohya", matrices(changed_layers(plain)), plain)
    load_backbone(check_backbone(str(copy), lora=(str(file),)))
    assert before == {file: file.read_bytes() for file in copy.rglob("*.safetensors")}
