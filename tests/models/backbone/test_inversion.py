"""Inversion: eq. 7 at the current level, and its reverse pass brings the latents back on a smooth network."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from models.backbone.ddim import noise, timesteps
from models.backbone.inversion import encode, invert, invert_latents, reconstruct_with_capture, reconstruction_psnr
from models.backbone.load import load_backbone
from models.backbone.sampling import Sampled, decode, denoise, sample_from
from models.clip.categories import prompt_of
from models.config.cut import CutConfig
from models.config.sampling import SamplingConfig
from models.pocket.scenes import render

PROMPTS, CATEGORIES = ["a cat", "one red box"], ["cat", "red box"]


@pytest.fixture
def smooth(backbone):
    """The tiny backbone with an output that changes little from level to level."""
    unet = copy.deepcopy(backbone.unet)
    with torch.no_grad():
        unet.conv_out.weight *= 0.002
    return dataclasses.replace(backbone, unet=unet)


def pictures():
    y, x = np.mgrid[:128, :128] / 128
    return (255 * np.stack([np.stack([x, y, x * y], -1), np.stack([1 - x, y, x], -1)])).astype(np.uint8)


def test_inversion_then_reverse_reconstructs_the_latents(smooth):
    clean = torch.stack([noise(80 + i, (4, 16, 16)) for i in range(2)])
    text = smooth.encode_text(PROMPTS)
    noisy = invert_latents(smooth, clean, PROMPTS, 100)
    assert float((noisy - clean).abs().mean()) > 0.05  # the way is not trivial
    back = denoise(smooth, noisy, text, None, 100, 1.0)
    assert float((back - clean).abs().mean() / clean.abs().mean()) <= 0.03


def test_more_steps_reconstruct_better(smooth):
    clean = torch.stack([noise(80 + i, (4, 16, 16)) for i in range(2)])
    text = smooth.encode_text(PROMPTS)

    def loss(steps):
        return float(
            (denoise(smooth, invert_latents(smooth, clean, PROMPTS, steps), text, None, steps, 1.0) - clean)
            .abs()
            .mean()
        )

    assert loss(40) < loss(5) / 2


def test_the_network_is_asked_at_the_current_level(backbone):
    """Eq. 7 step by step, written out: eps at (x_t, t), then on to the next level."""
    seen = []
    hook = backbone.unet.register_forward_pre_hook(lambda _, args: seen.append((args[1], args[0].clone())))
    clean = noise(0, (4, 16, 16))[None]
    try:
        noisy = invert_latents(backbone, clean, PROMPTS[:1], 4)
    finally:
        hook.remove()
    assert [t for t, _ in seen] == [0, *reversed(timesteps(4)[1:])]
    text, alpha_bar = backbone.encode_text(PROMPTS[:1]), backbone.alpha_bar.double()
    x = clean.double()
    for t, target in zip([0, 1, 251, 501], [1, 251, 501, 751], strict=True):
        with torch.no_grad():
            out = backbone.predict(x.float(), t, text).double()
        v = backbone.facts.prediction_type == "v_prediction"
        f = (
            alpha_bar[t] ** 0.5 * x - (1 - alpha_bar[t]) ** 0.5 * out
            if v
            else (x - (1 - alpha_bar[t]) ** 0.5 * out) / alpha_bar[t] ** 0.5
        )
        eps = alpha_bar[t] ** 0.5 * out + (1 - alpha_bar[t]) ** 0.5 * x if v else out
        x = alpha_bar[target] ** 0.5 * f + (1 - alpha_bar[target]) ** 0.5 * eps
    torch.testing.assert_close(noisy, x.float(), rtol=1e-4, atol=1e-4)


def test_images_are_inverted_and_reconstructed_with_capture(smooth):
    images, steps = pictures(), []
    noisy = invert(smooth, images, PROMPTS, 60, lambda *s: steps.append(s))
    assert noisy.shape == (2, 4, 16, 16) and steps[-1] == (60, 60)
    got = reconstruct_with_capture(
        smooth, noisy, PROMPTS, CATEGORIES, SamplingConfig(steps=60, guidance=7.5), CutConfig()
    )
    clean = encode(smooth, images)
    for i, s in enumerate(got):
        assert s.finite and s.evidence.class_map.shape == smooth.facts.attention_grid((16, 16))
        assert np.abs(s.image / 255 - decode(smooth, clean[i])).mean() <= 0.03
    unguided = sample_from(smooth, noisy, PROMPTS, CATEGORIES, SamplingConfig(steps=60, guidance=1.0), CutConfig())
    np.testing.assert_array_equal(got[0].evidence.class_map, unguided[0].evidence.class_map)


def test_images_of_bad_size_are_refused(backbone):
    with pytest.raises(ValueError, match=f"multiple of {backbone.facts.multiple}"):
        invert(backbone, np.zeros((1, 128, 100, 3), np.uint8), PROMPTS[:1], 2)


def test_pocket_renders_are_reconstructed_at_30_db():
    """40 steps, against what the autoencoder alone makes of them, under the prompt that photographs are masked with."""
    scenes = [render(4, i) for i in range(4)]
    prompts, categories = [prompt_of(s.category) for s in scenes], [s.category for s in scenes]
    pocket = load_backbone("pocket", "cpu")
    clean = encode(pocket, np.stack([s.image for s in scenes]))
    noisy = invert_latents(pocket, clean, prompts, 40)
    made = reconstruct_with_capture(pocket, noisy, prompts, categories, SamplingConfig(), CutConfig())
    assert reconstruction_psnr(pocket, clean, made).mean() >= 30


def test_reconstruction_error_is_psnr_of_8_bit_images(backbone):
    clean = encode(backbone, pictures())
    own = [np.round(decode(backbone, latents) * 255).astype(np.uint8) for latents in clean]
    off = np.clip(own[1].astype(int) + 10, 0, 255).astype(np.uint8)
    made = [Sampled(own[0], None, True), Sampled(off, None, True)]
    mse = ((off / 255 - own[1] / 255) ** 2).mean()
    np.testing.assert_allclose(reconstruction_psnr(backbone, clean, made), [np.inf, -10 * np.log10(mse)])
