"""A backbone in one file is that of the folder it was written from, bit for bit; other files are refused."""

import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone, weight_bytes
from models.backbone.sampling import denoise
from models.backbone.single_file import contents
from models.backbone.single_file.configs import folder_of
from models.backbone.stable_diffusion import load_scheduler
from models.backbone.tokens import category_span, load_tokenizer
from models.errors import UserError
from tests.single_files import as_single_file
from tests.tiny_xl import tiny_xl

KINDS = {"1.x": "sd1", "2.x": "sd2"}


@pytest.fixture(scope="module")
def folders(tiny_folders, tmp_path_factory) -> dict[str, Path]:
    """A tiny backbone of each kind in the diffusers layout."""
    made = {kind: tiny_folders[family] for kind, family in KINDS.items()}
    return made | {"XL": tiny_xl(tmp_path_factory.mktemp("folders") / "xl")}


@pytest.mark.parametrize("kind", ["1.x", "2.x", "XL"])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_file_is_the_folder_it_was_made_of(folders, tmp_path, kind, suffix):
    averaged = {f"model_ema.diffusion_model{i}": torch.zeros(1) for i in range(101)}  # left alone, as diffusers does
    file = as_single_file(folders[kind], tmp_path / f"model{suffix}", kind, averaged)
    one, other = load_backbone(str(folders[kind])), load_backbone(str(file))
    assert other.facts.file == file and other.facts.sizes(None, None) == one.facts.sizes(None, None)
    for ours, theirs in zip(one.networks, other.networks, strict=True):
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    latents = [denoise(b, noise, b.encode_text(["a cat"]), b.unconditional(), 2, 3.0) for b in (one, other)]
    assert torch.equal(*latents)
    assert weight_bytes(other.facts, "cpu", "float32") == weight_bytes(one.facts, "cpu", "float32")


def test_clips_tokenizer_is_made_of_open_clips_vocabulary():
    """Against open_clip's own tokenizer; 1.x pads with the end, 2.x with "!", which is token 0 there."""
    texts = ["a photo of a T-shirt, 1990s", "Jack-o'-lantern's; x", "naïve café, 東京", "", "dog " * 90]
    theirs = open_clip.get_tokenizer("ViT-L-14")(texts)
    for kind, padding in (("1.x", 49407), ("2.x", 0)):
        tokenizer = load_tokenizer(folder_of(kind))
        ids = torch.tensor(tokenizer(texts, padding="max_length", truncation=True).input_ids)
        for ours, expected in zip(ids, theirs, strict=True):
            length = int((expected != 0).sum())
            assert ours[:length].tolist() == expected[:length].tolist()
            assert set(ours[length:].tolist()) <= {padding}
    assert category_span(load_tokenizer(folder_of("2.x")), "wow! a dog", "dog") == [4]


@pytest.mark.parametrize(
    "kind, name, size, prediction",
    [
        ("1.x", "dreams.safetensors", 512, "epsilon"),
        ("2.x", "v2-1_768-ema-pruned.safetensors", 768, "v_prediction"),
        ("2.x", "512-base-ema.safetensors", 512, "epsilon"),
        ("XL", "juggernaut.safetensors", 1024, "epsilon"),
    ],
)
def test_a_file_of_full_size_has_the_published_configuration(tmp_path, kind, name, size, prediction):
    """By names alone: tensors of no elements in the places of the real ones."""
    names = [contents.FIRST, "first_stage_model.encoder.conv_in.weight"]
    names += [prefix + "x" for prefix in contents.TEXTS[kind].values()]
    file = tmp_path / name
    save_file({n: torch.zeros((320, 4, 0, 0) if n == contents.FIRST else 1) for n in names}, file)
    facts = check_backbone(str(file))
    assert facts.image_size == (size, size) and facts.prediction_type == prediction
    counts = {"1.x": 1_066_235_307, "2.x": 1_289_952_427, "XL": 3_468_837_787}
    assert weight_bytes(facts, "cuda:0" if torch.cuda.is_available() else "cpu", "float16") // 2 > counts[kind] * 0.97


OTHERS = {
    "a LoRA": {"lora_unet_down_blocks_0.lora_up.weight": (4, 4)},
    "a VAE alone": {"decoder.conv_in.weight": (4, 4)},
    "a ControlNet": {"control_model.input_blocks.0.0.weight": (4, 4)},
    "Stable Diffusion 3": {"model.diffusion_model.joint_blocks.0.x": (4, 4)},
    "a Flux model": {"double_blocks.0.img_attn.qkv.weight": (4, 4)},
    "a text encoder alone": {"text_model.encoder.x": (4, 4)},
    "other tensors": {"weight": (4, 4)},
    "an inpainting model": {contents.FIRST: (320, 9, 3, 3)},
    "without a text encoder": {contents.FIRST: (320, 4, 3, 3), "first_stage_model.x": (1,)},
    "without a VAE": {contents.FIRST: (320, 4, 3, 3), "cond_stage_model.transformer.x": (1,)},
    "refiner": {contents.FIRST: (384, 4, 3, 3), "conditioner.embedders.0.model.x": (1,), "first_stage_model.x": (1,)},
    "an image-editing model": {contents.FIRST: (320, 8, 3, 3)},
    "a depth model": {contents.FIRST: (320, 5, 3, 3)},
    "an upscaler": {contents.FIRST: (320, 7, 3, 3)},
    "a UNet alone": {"down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight": (4, 4)},
    "an EDM model": {contents.FIRST: (320, 4, 3, 3), "edm_mean": (4,)},
    "got 192": {contents.FIRST: (192, 4, 3, 3), "cond_stage_model.transformer.x": (1,), "first_stage_model.x": (1,)},
}


@pytest.mark.parametrize(
    "names, prediction, last", [((), "epsilon", 0.0047), (("v_pred",), "v_prediction", 0.0047),
                                (("v_pred", "ztsnr"), "v_prediction", 0.0)],
)  # fmt: skip
def test_fine_tunes_of_xl_that_predict_v_are_known_by_their_empty_tensors(tmp_path, names, prediction, last):
    parts = [contents.FIRST, "first_stage_model.x", *(prefix + "x" for prefix in contents.TEXTS["XL"].values())]
    file = tmp_path / "model.safetensors"
    save_file({n: torch.zeros((320, 4, 0, 0) if n == contents.FIRST else 1) for n in parts}
              | {name: torch.zeros(0) for name in names}, file)  # fmt: skip
    facts = check_backbone(str(file))
    assert facts.prediction_type == prediction
    assert float(load_scheduler(facts).alphas_cumprod[-1]) == pytest.approx(last, abs=1e-4)


@pytest.mark.parametrize("what, shapes", OTHERS.items(), ids=list(OTHERS))
def test_another_file_is_refused_by_what_it_is(tmp_path, what, shapes):
    file = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, file)
    with pytest.raises(UserError, match=what) as caught:
        check_backbone(str(file))
    assert "\n" not in str(caught.value)


class Code:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return print, ("ran",)


def _damaged(kind: str, file: Path) -> None:
    if kind == "code":
        torch.save({"state_dict": {"x": torch.zeros(1)}, "callbacks": Code()}, file)
    elif kind == "truncated":
        torch.save({"x": torch.zeros(10_000)}, file)
        file.write_bytes(file.read_bytes()[:20_000])
    elif kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a", "b")
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "text":
        file.write_text("version https://git-lfs.github.com/spec/v1\n")
    else:
        file.write_bytes(pickle.dumps(io.BytesIO(b"x").getvalue()))


@pytest.mark.parametrize(
    "kind, words",
    [("code", "could run code"), ("truncated", "damaged"), ("zip", "damaged"), ("empty", "damaged"), ("text", "LFS"),
     ("bytes", "single file|expected|damaged|code")],
)  # fmt: skip
def test_a_ckpt_that_is_not_tensors_is_refused_in_one_line(tmp_path, capsys, kind, words):
    file = tmp_path / "model.ckpt"
    _damaged(kind, file)
    with pytest.raises(UserError, match=words) as caught:
        check_backbone(str(file))
    assert "\n" not in str(caught.value) and "ran" not in capsys.readouterr().out


def test_a_truncated_file_and_one_that_is_not_there(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(1000)}, file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="truncated"):
        check_backbone(str(file))
    with pytest.raises(UserError, match="not there"):
        check_backbone(str(tmp_path / "none.safetensors"))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="another kind"):
        check_backbone(str(tmp_path / "notes.txt"))


def test_missing_tensors_and_other_shapes_are_named(folders, tmp_path):
    from safetensors.torch import load_file

    file = as_single_file(folders["1.x"], tmp_path / "model.safetensors", "1.x")
    tensors = load_file(file)
    for change in ("lacks", "widens"):
        spoilt = dict(tensors)
        name = "model.diffusion_model.out.2.weight"
        value = spoilt.pop(name)
        if change == "widens":
            spoilt[name] = torch.cat([value, value])
        save_file(spoilt, file)
        with pytest.raises(UserError, match="unet could not be loaded"):
            load_backbone(check_backbone(str(file)))


def test_the_facts_of_a_safetensors_file_import_no_torch(folders, tmp_path):
    file = as_single_file(folders["1.x"], tmp_path / "model.safetensors", "1.x")
    code = "import sys; from models.backbone.facts import check_backbone; check_backbone(sys.argv[1]); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


def test_a_sibling_folder_is_read_in_place_of_the_published_configuration(folders, tmp_path):
    file = as_single_file(folders["2.x"], tmp_path / "model.safetensors", "2.x")
    config = json.loads((tmp_path / "model" / "scheduler" / "scheduler_config.json").read_text())
    assert check_backbone(str(file)).prediction_type == config["prediction_type"]
