"""Noise algebra: what a network says of x_t leads back to x_0, whatever it predicts, and the noise of a pyramid."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.backbone.ddim import noised, predict_x0_eps, pyramid_noise, target_of
from models.backbone.facts import check_backbone
from models.backbone.stable_diffusion import load_network, load_scheduler
from models.backbone.vae import decoded, encoded

SHAPE = (3, 4, 6, 5)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@given(alpha_bar=st.floats(0.0046, 0.9995), seed=st.integers(0, 99))
def test_the_true_target_gives_back_clean_latents_and_noise(kind, alpha_bar, seed):
    torch.manual_seed(seed)
    clean, eps = torch.randn(SHAPE, dtype=torch.float64), torch.randn(SHAPE, dtype=torch.float64)
    noisy = noised(clean, eps, alpha_bar)
    found = predict_x0_eps(kind, target_of(kind, clean, eps, alpha_bar), noisy, alpha_bar)
    assert torch.allclose(found[0], clean, atol=1e-10) and torch.allclose(found[1], eps, atol=1e-10)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_algebra_is_that_of_diffusers(kind):
    scheduler = load_scheduler(check_backbone("pocket"))
    scheduler.register_to_config(prediction_type=kind)
    scheduler.set_timesteps(50)
    torch.manual_seed(0)
    noisy, output, t = torch.randn(SHAPE), torch.randn(SHAPE), 981
    expected = scheduler.step(output, t, noisy, eta=0.0).pred_original_sample
    clean, eps = predict_x0_eps(kind, output, noisy, scheduler.alphas_cumprod[t])
    assert torch.allclose(clean, expected, atol=1e-4)
    assert torch.allclose(noised(clean, eps, scheduler.alphas_cumprod[t]), noisy, atol=1e-4)


def test_an_error_in_epsilon_is_14_61_times_as_large_in_clean_latents_at_the_last_level():
    alpha_bar = load_scheduler(check_backbone("pocket")).alphas_cumprod[999].double()
    noisy, error = torch.randn(SHAPE, dtype=torch.float64), torch.full(SHAPE, 0.5, dtype=torch.float64)
    right, wrong = (predict_x0_eps("epsilon", e, noisy, alpha_bar)[0] for e in (torch.zeros_like(error), error))
    assert ((right - wrong) / error).mean().item() == pytest.approx(14.61, abs=0.005)


def test_each_sample_has_the_level_of_its_own():
    clean, eps, alpha_bar = torch.randn(SHAPE), torch.randn(SHAPE), torch.tensor([0.9, 0.5, 0.1])[:, None, None, None]
    together = noised(clean, eps, alpha_bar)
    assert all(torch.equal(together[i], noised(clean[i], eps[i], alpha_bar[i])) for i in range(3))


def test_a_picture_survives_the_vae_and_several_are_as_one():
    vae = load_network(check_backbone("pocket"), "vae")
    yy, xx = np.mgrid[:128, :128]
    disc = torch.from_numpy(np.where((yy - 60) ** 2 + (xx - 70) ** 2 < 1600, 1.0, -1.0)).float()
    pixels = torch.stack([disc, -disc])[:, None].expand(-1, 3, -1, -1)
    latents = encoded(vae, pixels)
    scale = vae.config.scaling_factor
    torch.testing.assert_close(latents, vae.encode(pixels).latent_dist.mean * scale, atol=1e-4, rtol=1e-4)
    back = decoded(vae, latents)
    assert torch.equal(back[1], decoded(vae, latents[1:])[0])
    assert ((back.mean(dim=1) > 0) == (pixels[:, 0] > 0)).float().mean() > 0.98


def test_a_float16_vae_under_bfloat16_autocast_gives_what_it_gives_without():
    vae = load_network(check_backbone("pocket"), "vae", "cpu", "float16")
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    latents = encoded(vae, pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoded(vae, pixels), latents) and latents.dtype is torch.float32
        under = decoded(vae, latents)
    assert torch.equal(decoded(vae, latents), under) and under.dtype is torch.float32


@pytest.mark.parametrize("discount", [0.3, 0.8])
def test_pyramid_noise_has_deviation_one_and_more_of_it_in_large_grains_the_higher_the_discount(discount):
    torch.manual_seed(1)
    made = pyramid_noise((8, 4, 64, 64), discount)
    assert made.std().item() == pytest.approx(1)
    coarse = torch.nn.functional.avg_pool2d(made, 16).std().item()
    torch.manual_seed(1)
    less = torch.nn.functional.avg_pool2d(pyramid_noise((8, 4, 64, 64), discount / 2), 16).std().item()
    assert coarse > less > 1 / 16 and pyramid_noise((2, 4, 1, 1), discount).isfinite().all()
