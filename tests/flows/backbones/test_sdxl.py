"""A tiny Stable Diffusion XL through the command line and the flows: dry run, build, resume, recut, photographs."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from flows.build import build
from flows.recut import recut
from models.backbone.load import load_backbone
from models.backbone.sampling import sample
from storage.dataset.reader import open_dataset
from tests.flows.conftest import arrays, assert_equal, changed, run


@pytest.fixture(scope="module")
def config(config, xl_folder):
    """The flows' small build, of that backbone: images 128x128, latents 16x16, attention of 8x8 cells and fewer."""
    return changed(config, backbone=str(xl_folder), count=6, screen={"min_area": 0.0, "max_area": 1.0})


@pytest.fixture(scope="module")
def built(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("sdxl") / "dataset"
    build(config, out)
    return out


def test_a_dry_run_names_the_grid_of_the_attention_and_writes_nothing(config, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    result = run("build", "--config", file, "--out", tmp_path / "dataset", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "images 128x128, attention grid 8x8, epsilon" in result.output
    assert list(tmp_path.iterdir()) == [file]


def test_the_dataset_holds_the_evidence_of_each_sample_alone(config, built):
    """Sampled alone by its class, prompt and seed, a sample is that of the dataset."""
    dataset, backbone = open_dataset(built), load_backbone(config.backbone, "cpu")
    frame, stored = dataset.frame(), arrays(dataset)
    assert len(frame) == 6 and (built / "report" / "index.html").is_file()
    assert stored["affinities"].shape == (6, 4, 8, 8) and stored["image"].shape == (6, 128, 128, 3)
    assert stored["layer_maps"].shape == (6, 11, 8, 8) and stored["pooled"].shape == (6, 64, 64)
    row = frame.iloc[5]
    (alone,) = sample(backbone, [row["prompt"]], [row["category"]], [int(row["seed"])], config.sampling, config.cut)
    np.testing.assert_array_equal(alone.image, stored["image"][5])
    np.testing.assert_array_equal(alone.evidence.affinities, stored["affinities"][5])


def test_batches_and_shards_change_no_sample(config, built, tmp_path):
    build(changed(config, shard_size=3, run={"batch_size": 3}), tmp_path / "dataset")
    found, expected = arrays(open_dataset(tmp_path / "dataset")), arrays(open_dataset(built))
    assert np.abs(found["image"].astype(int) - expected["image"]).max() <= 1
    np.testing.assert_allclose(found["class_map"], expected["class_map"], rtol=1e-2, atol=1e-5)


def test_a_build_that_broke_off_is_resumed(config, built, tmp_path, monkeypatch):
    from models.backbone import sampling

    last, draw = int(open_dataset(built).frame()["seed"].iloc[5]), sampling.noise

    def fail(seed, shape):
        if seed == last:
            raise RuntimeError("on purpose")
        return draw(seed, shape)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="on purpose"):
        patched.setattr(sampling, "noise", fail)
        build(config, tmp_path / "dataset")
    assert build(config, tmp_path / "dataset").version == "v1"
    assert_equal(tmp_path / "dataset", built)


def test_masks_are_solved_again_without_the_backbone(config, tmp_path):
    few, out = changed(config, count=2), tmp_path / "dataset"
    build(few, out)
    recut(changed(few, cut={"tau": 0.6}, sampling={"top_k": 1}), out)
    recut(few, out)
    first, other, again = (arrays(open_dataset(out, version)) for version in ("v1", "v2", "v3"))
    assert not np.array_equal(first["refined"], other["refined"])
    for name in ("mask", "class_map", "refined", "image"):
        np.testing.assert_array_equal(first[name], again[name])


def test_few_steps_without_guidance_are_stored_and_resumed(config, tmp_path):
    """As Turbo and Lightning are sampled."""
    few = {"steps": 2, "scheduler": "euler", "spacing": "trailing", "guidance": 0.0}
    out, config = tmp_path / "dataset", changed(config, count=2, sampling=few)
    build(config, out)
    dataset = open_dataset(out)
    assert few.items() <= dataset.config["sampling"].items() and (dataset.frame()["status"] != "failed").all()
    assert build(config, out).version == "v1" and build(changed(config, count=3), out).version == "v2"


def test_photographs_are_masked(config, tmp_path):
    y, x = np.mgrid[:90, :120] / 120
    Image.fromarray((255 * np.stack([x, y, x * y], -1)).astype(np.uint8)).save(tmp_path / "photo.png")
    few = ("--set", "sampling.steps=4", "--set", "run.device=cpu", "--class", "cat")
    result = run("mask", tmp_path / "photo.png", "--out", tmp_path / "out", "--backbone", config.backbone, *few)
    assert result.exit_code == 0, result.output
    assert np.asarray(Image.open(tmp_path / "out" / "photo-mask.png")).shape == (90, 120)


@pytest.mark.parametrize("segmenter", ["diffusionseg", "sod-diffusion", "diffdis"])
def test_segmenters_refuse_it_before_anything_is_written(config, built, tmp_path, segmenter):
    backbone = ("--set", f"backbone={config.backbone}", "--set", "gradient_accumulation_steps=1")
    result = run("train", segmenter, "--data", built, "--run", tmp_path / "run", *backbone)
    assert result.exit_code == 2 and "trains on Stable Diffusion 1.x or 2.x, got a StableDiffusionXL" in result.output
    assert not (tmp_path / "run").exists()


def test_half_precision_gives_finite_samples(config):
    backbone = load_backbone(config.backbone, "cpu", "bfloat16")
    (made,) = sample(backbone, ["a cat"], ["cat"], [0], config.sampling, config.cut)
    assert made.finite and backbone.dtype == torch.bfloat16
