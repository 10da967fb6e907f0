"""A family of backbones is one file and one line: a toy family goes through sampling, inversion and features."""

import itertools
import json

import numpy as np
import pytest
import torch

from models.backbone.ddim import noise, timesteps
from models.backbone.facts import FAMILIES, check_backbone
from models.backbone.features import feature_shapes, features_of
from models.backbone.inversion import encode, invert, reconstruct_with_capture, reconstruction_psnr
from models.backbone.load import load_backbone
from models.backbone.protocol import Conditioning
from models.backbone.sampling import ddim_step, decode, sample
from models.backbone.stable_diffusion import StableDiffusion
from models.backbone.stable_diffusion_xl import StableDiffusionXL
from models.backbone.tokens import category_span
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.cut.attentioncut import evidence_of
from tests.models.backbone import toy_family

CUT, SIDE = CutConfig(), 8
SAMPLING = SamplingConfig(steps=4, guidance=2.0, capture="full", top_k=1)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, toy_family.PIPELINE, toy_family)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "ToyPipeline"}))
    (tmp_path / "toy.json").write_text(json.dumps({"side": SIDE}))
    return load_backbone(str(tmp_path), "cpu")


def test_the_table_says_by_the_index_which_family_a_folder_is_of(toy, folder):
    assert isinstance(toy, toy_family.Toy)
    assert isinstance(
        load_backbone(str(folder), "cpu"), StableDiffusionXL if "sdxl" in folder.name else StableDiffusion
    )
    assert toy.facts == check_backbone(str(toy.facts.folder)) and toy.facts.taught is None
    assert load_backbone(toy.facts, "cpu") is toy
    (toy.facts.folder / "model_index.json").write_text(json.dumps({"_class_name": "OtherPipeline"}))
    with pytest.raises(
        ValueError, match="got a OtherPipeline; choose a StableDiffusionPipeline or StableDiffusionXLPipeline or "
    ):
        check_backbone(str(toy.facts.folder))


@torch.no_grad()
def test_a_toy_family_is_sampled_with_capture(toy):
    """The image, A_c and A_s are those of eq. 7's reverse written out with the toy's own products."""
    prompts, categories, seeds = ["a cat", "one red box"], ["cat", "red box"], [3, 4]
    found = sample(toy, prompts, categories, seeds, SAMPLING, CUT)
    for prompt, category, seed, made in zip(prompts, categories, seeds, found, strict=True):
        text, empty = toy.encode_text([prompt]), toy.encode_text([""])
        span = category_span(toy.tokenizer, prompt, category)
        latents, cross, own = noise(seed, (3, SIDE, SIDE))[None], 0, 0
        levels = [*timesteps(4), 0]
        for t, target in itertools.pairwise(levels):
            cells = latents.flatten(2)[0].T.double()
            small = torch.nn.functional.avg_pool2d(latents, 2).flatten(2)[0].T.double()
            cross += (cells @ text.tokens[0].T.double()).softmax(1)[:, span].mean(1) / 4
            own += (small @ small.T).softmax(1) / 4
            plain, guided = (toy.predict(latents, t, each) for each in (empty, text))
            latents = ddim_step(toy, latents, plain + 2 * (guided - plain), t, target)
        whole = own.reshape(4, 4, 4, 4).numpy().repeat(2, 0).repeat(2, 1).repeat(2, 2).repeat(2, 3) / 4
        expected = evidence_of(cross.reshape(SIDE, SIDE).numpy(), whole.reshape(SIDE**2, SIDE**2), CUT)
        for name in ("class_map", "refined", "affinities"):
            np.testing.assert_allclose(getattr(made.evidence, name), getattr(expected, name), rtol=1e-3, atol=1e-6)
        assert made.finite and np.abs(made.image - 255 * decode(toy, latents[0])).max() <= 0.6


def test_its_images_are_inverted_reconstructed_and_have_features(toy):
    y, x = np.mgrid[:16, :16] // 4 * 4 / 16
    images = (255 * np.stack([x, y, x * y], -1)).astype(np.uint8)[None]
    noisy = invert(toy, images, ["a cat"], 100)
    made = reconstruct_with_capture(toy, noisy, ["a cat"], ["cat"], SamplingConfig(steps=100), CUT)
    assert reconstruction_psnr(toy, encode(toy, images), made)[0] > 30
    assert [tuple(each.shape[1:]) for each in features_of(toy, images, ["a cat"], 2)] == feature_shapes(toy, (8, 8))


def test_conditioning_is_repeated_and_joined_with_all_that_a_family_adds():
    one, two = (toy_family.Worded(torch.full((1, 4, 3), value), torch.tensor([int(value)])) for value in (1.0, 2.0))
    both = one.repeated(2).followed_by(two)
    assert both.words.tolist() == [1, 1, 2] and both.tokens[:, 0, 0].tolist() == [1.0, 1.0, 2.0]
    assert type(Conditioning(one.tokens).followed_by(Conditioning(two.tokens))) is Conditioning
