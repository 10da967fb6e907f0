"""Backbones: what is refused and how, what the json files tell, and where a category stands in a prompt."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone
from models.backbone.tokens import category_span, load_tokenizer
from models.errors import UserError

ODD = [None, True, -1, 0, 1.5, "x", [], [0], ["x", None], {}, {"x": 1}]  # what json can hold


@pytest.fixture
def copy(tiny_folders, tmp_path):
    return shutil.copytree(tiny_folders["sd1"], tmp_path / "copy")


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_facts_come_from_the_json_files(tiny_folders):
    facts = {family: check_backbone(str(folder)) for family, folder in tiny_folders.items()}
    assert {f.prediction_type for f in facts.values()} == {"epsilon", "v_prediction"}
    for f in facts.values():
        assert (f.image_size, f.latent_size, f.latent_channels, f.vae_factor, f.multiple) == (
            (128, 128),
            (16, 16),
            4,
            8,
            64,
        )


def test_the_number_of_cross_attention_layers_is_known_before_loading(backbone):
    layers = [name for name in backbone.unet.attn_processors if ".attn2." in name]
    assert backbone.facts.num_cross == len(layers) > 0


def test_sizes_default_to_the_backbones_own_and_refuse_what_cannot_be_halved(tiny_folders):
    facts = check_backbone(str(tiny_folders["sd1"]))
    assert facts.sizes(None, 192) == ((128, 192), (16, 24))
    with pytest.raises(ValueError, match=r"sampling\.width: expected a multiple of 64, got 100"):
        facts.sizes(None, 100)


@pytest.mark.parametrize(
    "file",
    [
        "unet/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
    ],
)
def test_a_missing_file_is_named(copy, file):
    (copy / file).unlink()
    with pytest.raises(ValueError, match=f"{file} is missing") as error:
        check_backbone(str(copy))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "file, changes, word",
    [
        ("unet/config.json", {"in_channels": 9}, "in_channels: expected 4, got 9"),  # inpainting
        ("unet/config.json", {"addition_embed_type": "text_time"}, "addition_embed_type"),  # SDXL
        ("unet/config.json", {"_class_name": "FluxTransformer2DModel"}, "_class_name"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "prediction_type"),
        ("text_encoder/config.json", {"model_type": "t5"}, "model_type"),
        ("unet/config.json", {"sample_size": None}, "unet/config.json lacks sample_size"),
        ("vae/config.json", {"block_out_channels": None}, "vae/config.json lacks block_out_channels"),
    ],
)
def test_another_architecture_is_refused_by_its_field(copy, file, changes, word):
    edit(copy / file, **changes)
    with pytest.raises(ValueError, match=word):
        check_backbone(str(copy))


@pytest.mark.parametrize(
    "pipeline",
    ["StableDiffusionXLImg2ImgPipeline", "StableDiffusion3Pipeline", "FluxPipeline", "StableDiffusionInpaintPipeline"],
)
def test_another_pipeline_is_called_by_its_name(tmp_path, pipeline):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    with pytest.raises(ValueError, match=f"got a {pipeline}"):
        check_backbone(str(tmp_path))


def test_broken_json_is_named(copy):
    (copy / "unet" / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"unet/config\.json is not valid json"):
        check_backbone(str(copy))
    (copy / "unet" / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"unet/config\.json is not a mapping"):
        check_backbone(str(copy))
    (copy / "tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="tokenizer/ cannot be read"):
        load_tokenizer(copy)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_damaged_weights_are_named_before_loading(copy, length):
    """Cut anywhere, in the header or in the data, or filled with something else."""
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    for content in (whole[:length], b"x" * 10, whole + b"more"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="diffusion_pytorch_model.safetensors is damaged"):
            check_backbone(str(copy))


def test_a_name_that_is_nothing_is_refused():
    with pytest.raises(ValueError, match="is not there"):
        check_backbone("./nowhere")


def test_a_hub_id_without_network_is_one_line(tmp_path):
    code = (
        "from models.backbone.facts import check_backbone\n"
        "try: check_backbone('someone/something')\n"
        "except ValueError as e: print(e)"
    )
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    env["PYTHONPATH"] = ":".join(sys.path)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert "could not be downloaded" in run.stdout and "network" in run.stdout, run.stderr
    assert run.stdout.count("\n") == 1


def test_checking_and_spans_import_no_torch(tiny_folders):
    code = (
        "import sys; from models.backbone.facts import check_backbone; "
        "from models.backbone.tokens import category_span, load_tokenizer; f = check_backbone(sys.argv[1]);"
        "category_span(load_tokenizer(f.folder), 'a cat', 'cat'); assert 'torch' not in sys.modules"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tiny_folders["sd1"])], check=True, env=env, timeout=120)


def test_a_backbone_is_loaded_once_per_process(folder):
    assert load_backbone(str(folder), "cpu") is load_backbone(str(folder), "cpu", "float32")


def test_a_missing_gpu_is_said(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"run\.device"):
        load_backbone(str(folder), "cuda")


def test_prompts_are_padded_to_the_tokenizers_length(backbone):
    text = backbone.encode_text(["a cat", "a flower on a table in a garden by the sea at night"]).tokens
    assert text.shape == (2, 32, backbone.facts.cross_width) and text.isfinite().all()


def test_span_of_one_and_of_several_tokens(folder):
    tokenizer = load_tokenizer(folder)
    assert category_span(tokenizer, "a cat", "cat") == [2]
    assert category_span(tokenizer, "A CAT on a cat", "Cat") == [2]
    assert category_span(tokenizer, "a red box", "red box") == [2, 3, 4, 5, 6, 7]
    words = tokenizer("a flower").input_ids
    assert [words[i] for i in category_span(tokenizer, "a flower", "flower")] == words[2:-1]


@pytest.mark.parametrize("prompt", ["a dog", "a category", "a bobcat", ""])
def test_an_absent_category_names_prompt_and_category(folder, prompt):
    with pytest.raises(ValueError, match="'cat'") as error:
        category_span(load_tokenizer(folder), prompt, "cat")
    assert repr(prompt) in str(error.value)


def test_a_category_behind_the_truncation_is_refused(folder):
    tokenizer = load_tokenizer(folder)
    assert category_span(tokenizer, "x" * 29 + " cat", "cat") == [30]
    with pytest.raises(ValueError, match="within the first 30 tokens"):
        category_span(tokenizer, "x" * 30 + " cat", "cat")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "scheduler"])
def test_json_of_any_content_gives_facts_or_one_line(copy, part):
    file = copy / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    check_with_odd_values(copy, file)


def check_with_odd_values(folder: Path, file: Path) -> None:
    """Check the backbone in a folder with each value of a json file replaced by what json can hold."""
    whole = json.loads(file.read_text())
    for key in whole:
        for value in ODD:
            file.write_text(json.dumps(whole | {key: value}))
            with suppress(UserError):
                check_backbone(str(folder))


def test_a_schedule_that_cannot_be_is_named(copy):
    edit(copy / "scheduler" / "scheduler_config.json", beta_schedule="none")
    with pytest.raises(UserError, match=r"scheduler_config\.json is not valid"):
        load_backbone(str(copy), "cpu")
