"""Folders in every layout that diffusers and transformers write: read as they read them, or refused in one line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.backbone.facts import check_backbone
from models.backbone.load import load_backbone, weight_bytes
from models.backbone.weights.layouts import weights_in
from models.backbone.weights.networks import count_parameters, load_network
from models.errors import UserError
from tests.models.backbone.weights import layouts as laid
from tests.models.backbone.weights.layouts import FULL, HALF, PARTS, file_of, laid_out, stem


@pytest.fixture
def source(tiny_folders):
    return tiny_folders["sd1"]


def refused(folder, *words):
    with pytest.raises(UserError) as error:
        check_backbone(str(folder))
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words), str(error.value)


def states(folder, part, **options):
    """A network's tensors as its own library reads them."""
    return PARTS[part].from_pretrained(folder, subfolder=part, **options).state_dict()


@pytest.mark.parametrize("layout", [*FULL, *HALF], ids=lambda layout: layout.__name__)
def test_every_layout_loads_the_tensors_that_were_laid_out(source, tmp_path, layout):
    folder = laid_out(source, tmp_path / "there", layout)
    facts = check_backbone(str(folder))
    for part in PARTS:
        before, after = states(source, part), load_network(facts, part).state_dict()
        assert before.keys() == after.keys()
        for name, value in before.items():
            expected = value.half().float() if layout in HALF and value.is_floating_point() else value
            assert torch.equal(after[name], expected), name


@pytest.mark.parametrize("layout", [laid.sharded, laid.half, laid.sharded_half, laid.pickled], ids=lambda x: x.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_loaded_is_what_the_libraries_load(source, tmp_path, layout, dtype):
    folder = laid_out(source, tmp_path / "there", layout)
    facts, variant = check_backbone(str(folder)), "fp16" if layout in HALF else None
    for part in PARTS:
        theirs = states(folder, part, variant=variant, torch_dtype=getattr(torch, dtype))
        ours = load_network(facts, part, dtype=dtype).state_dict()
        assert theirs.keys() == ours.keys() and all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_first_predictions_of_two_layouts_are_equal_to_the_last_bit(source, tmp_path):
    folders = [source, laid_out(source, tmp_path / "shards", laid.sharded)]
    backbones = [load_backbone(str(folder), "cpu") for folder in folders]
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = (b.predict(latents, 951, b.encode_text(["a cat"])) for b in backbones)
    assert torch.equal(one, other)


def test_full_precision_comes_before_the_variant_and_before_other_weights(source, tmp_path):
    """As `CompVis/stable-diffusion-v1-4` lies at the hub: fp16, non_ema and pickled files beside those that count."""
    folder = laid_out(source, tmp_path / "there", laid.both)
    for part in PARTS:
        broken = file_of(folder, part).with_name(f"{stem(part)}.non_ema.safetensors")
        broken.write_bytes(b"not read")
        file_of(folder, part).with_name(f"{stem(part, pickled=True)}.bin").write_bytes(b"not read")
    facts = check_backbone(str(folder))
    assert not any(weights_in(facts.name, folder, part).layout.half for part in PARTS)
    original = check_backbone(str(source))
    assert weight_bytes(facts, "cpu", "float32") == weight_bytes(original, "cpu", "float32")


@pytest.mark.parametrize("layout", [*FULL, *HALF], ids=lambda layout: layout.__name__)
def test_parameters_are_counted_as_loaded_in_any_layout(source, tmp_path, layout):
    facts = check_backbone(str(laid_out(source, tmp_path / "there", layout)))
    for part in PARTS:
        loaded = sum(value.numel() for value in load_network(facts, part).parameters())
        assert count_parameters(facts, part) == loaded
    total = sum(count_parameters(facts, part) for part in PARTS)
    assert weight_bytes(facts, "cpu", "auto") == 4 * total
    assert weight_bytes(facts, "cpu", "float16") == weight_bytes(facts, "cpu", "bfloat16") == 2 * total


def test_sdxl_has_its_second_text_encoder_counted_and_its_vae_upcast(xl_folder):
    facts = check_backbone(str(xl_folder))
    counts = {part: count_parameters(facts, part) for part in facts.parts}
    assert "text_encoder_2" in counts and "vae" in facts.upcast
    assert weight_bytes(facts, "cpu", "float16") == 2 * sum(counts.values()) + 2 * counts["vae"]


# What is not whole


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("layout", [laid.sharded, laid.pickled_shards, laid.sharded_half], ids=lambda x: x.__name__)
def test_a_missing_shard_is_named(source, tmp_path, layout, part):
    folder = laid_out(source, tmp_path / "there", layout)
    shard = sorted((folder / part).glob("*-of-*"))[1]
    shard.unlink()
    refused(folder, f"{part}/{shard.name} is missing", "which", "index", "names")


@pytest.mark.parametrize("layout", [laid.sharded, laid.pickled_shards], ids=lambda x: x.__name__)
@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..", "..\\x.bin", "x.exe"]
)
def test_an_index_that_names_files_elsewhere_is_refused(source, tmp_path, layout, name):
    folder = laid_out(source, tmp_path / "there", layout)
    save_file({}, tmp_path / "x.safetensors")
    (index,) = (folder / "unet").glob("*.index.json")
    values = json.loads(index.read_text())
    values["weight_map"] |= {next(iter(values["weight_map"])): name}
    index.write_text(json.dumps(values))
    refused(folder, index.name, repr(name), "in its own folder")


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}', '{"weight_map": null}']
)
def test_an_index_that_is_not_valid_is_named(source, tmp_path, content):
    folder = laid_out(source, tmp_path / "there", laid.sharded)
    (index,) = (folder / "vae").glob("*.index.json")
    index.write_text(content)
    refused(folder, f"vae/{index.name}", "download it again")


def test_an_index_that_leaves_a_tensor_out_is_refused_when_it_is_loaded(source, tmp_path):
    folder = laid_out(source, tmp_path / "there", laid.sharded)
    shard = sorted((folder / "unet").glob("*-of-*"))[0]
    save_file(dict(list(load_file(shard).items())[1:]), shard, metadata={"format": "pt"})
    with pytest.raises(UserError, match="unet/ could not be loaded") as error:
        load_network(check_backbone(str(folder)), "unet")
    assert "\n" not in str(error.value) and "/tmp" not in str(error.value).replace(str(folder), "")


DAMAGE = {
    "cut in half": (lambda whole: whole[: len(whole) // 2], "damaged or truncated"),
    "cut in its header": (lambda whole: whole[:20], "damaged or truncated"),
    "without its last bytes": (lambda whole: whole[:-5], "damaged or truncated"),
    "a page of html": (lambda whole: b"<!doctype html><title>Sign in</title>", "damaged or truncated"),
    "a pointer": (
        lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 334643276\n",
        "git lfs pull",
    ),
    "empty": (lambda whole: b"", "download it again"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("layout", [*FULL[:4], *HALF], ids=lambda layout: layout.__name__)
def test_what_is_no_weights_is_named_before_loading(source, tmp_path, layout, damage):
    change, word = DAMAGE[damage]
    folder = laid_out(source, tmp_path / "there", layout)
    for part in PARTS:
        copy = shutil.copytree(folder, tmp_path / part)
        file = sorted([*copy.glob(f"{part}/*.safetensors"), *copy.glob(f"{part}/*.bin")])[-1]
        file.write_bytes(change(file.read_bytes()))
        refused(copy, f"{part}/{file.name}", word)


def test_weights_of_other_programs_alone_are_not_enough(source, tmp_path):
    folder = laid_out(source, tmp_path / "there", laid.untouched)
    file = file_of(folder, "unet")
    file.rename(file.with_name("diffusion_flax_model.msgpack"))
    refused(folder, "unet/diffusion_pytorch_model.safetensors is missing", "diffusion_flax_model.msgpack")


def test_a_shard_that_is_missing_is_not_replaced_by_the_variant_in_silence(source, tmp_path):
    folder = laid_out(source, tmp_path / "there", laid.sharded)
    half = laid_out(source, tmp_path / "half", laid.half)
    for file in half.glob("unet/*.fp16.safetensors"):
        shutil.copy(file, folder / "unet")
    next((folder / "unet").glob("*-00002-of-*")).unlink()
    refused(folder, "00002-of", "is missing")


def test_a_whole_file_is_read_where_an_older_index_lost_its_shards(source, tmp_path):
    folder, shards = (
        laid_out(source, tmp_path / "there", laid.untouched),
        laid_out(source, tmp_path / "s", laid.sharded),
    )
    shutil.copy(next((shards / "unet").glob("*.index.json")), folder / "unet")
    assert load_network(check_backbone(str(folder)), "unet") is not None


def test_pickled_code_is_not_run(source, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    folder = laid_out(source, tmp_path / "there", laid.pickled)
    torch.save({"weight": Harm()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="unet/ could not be loaded"):
        load_network(check_backbone(str(folder)), "unet")
    assert not (tmp_path / "harm").exists()
