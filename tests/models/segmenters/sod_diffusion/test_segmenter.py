"""SOD-diffusion: what the UNet attends to, loss and denoising by their equations, what it learns, seeds."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.nn import functional as F

from benchmarks.fullsize import PUBLISHED, full_size
from models.backbone.ddim import noised, target_of, timesteps, trailing
from models.backbone.facts import check_backbone
from models.backbone.stable_diffusion import load_network
from models.pocket.scenes import render
from models.segmenters.registry import segmenter_of
from models.segmenters.sod_diffusion.config import SodDiffusionConfig
from models.segmenters.sod_diffusion.ensemble import ensembled
from models.segmenters.sod_diffusion.segmenter import Network
from models.segmenters.sod_diffusion.swin import pocket_swin
from models.training.loop import Run, train
from models.training.schedule import Training
from tests.models.segmenters.sod_diffusion.small import config_on

ABLATIONS = [{"swin": "none"}, {"fusion": "plain"}, {"context_projection": "none"}, {"auxiliary": 0}]


@pytest.fixture(params=["sd1", "sd2"])
def family(request, tiny_folders):
    """A tiny backbone's folder: sd1 predicts eps, sd2 v."""
    return tiny_folders[request.param]


@pytest.fixture(scope="module")
def segmenter(tiny_folders):
    return segmenter_of(config_on(tiny_folders["sd2"]))


def scenes(count: int, seed: int = 5) -> dict:
    made = [render(seed, i) for i in range(count)]
    images, masks = (torch.from_numpy(np.stack(each)) for each in zip(*[(s.image, s.mask) for s in made], strict=True))
    return {"image": images, "mask": masks, "category": [""] * count}


def latents(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_the_loss_reaches_the_swin_through_afim_alone(tiny_folders):
    own = segmenter_of(config_on(tiny_folders["sd2"], auxiliary=0))
    own.loss(own.network, scenes(2)).backward()
    assert own.network.hint is None
    for part in ("encoder.0", "encoder.1", "afim", "unet"):
        slopes = [p.grad.abs().max() for p in own.network.get_submodule(part).parameters()]
        assert max(slopes) > 0, part


@torch.no_grad()
def test_afim_attends_to_a_set_of_tokens(segmenter):
    network = segmenter.network.eval()
    image, noisy = latents(2, 2, 4, 8, 8)
    f = network.features(torch.rand(2, 3, 64, 64), noisy.shape[2:])
    assert f.shape == (2, 64, 8, 8)
    found = network.output(image, noisy, 500, f)
    shuffled = f.flatten(2)[..., torch.randperm(64)].unflatten(2, (8, 8))
    torch.testing.assert_close(network.output(image, noisy, 500, shuffled), found, atol=1e-5, rtol=1e-4)
    assert (network.output(image, noisy, 500, -f) - found).abs().max() > 1e-4
    seen = []
    hook = network.unet.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    network.output(image, noisy, 500, f)
    hook.remove()
    assert seen[0].shape == (2, 64, 32)  # h * w tokens of the backbone's width
    torch.testing.assert_close(seen[0][:, 11], network.afim(f)[:, :, 1, 3])


@torch.no_grad()
def test_a_doubled_input_begins_as_the_backbone_and_a_fresh_one_does_not(family):
    own = segmenter_of(config_on(family, swin="none"))
    unet, x = load_network(own.facts, "unet"), latents(1, 4, 8, 8)
    expected = unet(x, 500, encoder_hidden_states=own.network.empty).sample
    torch.testing.assert_close(own.network.eval().output(x, x, 500, None), expected, atol=1e-5, rtol=1e-4)
    fresh = segmenter_of(config_on(family, swin="none", conv_in="fresh")).network.unet.state_dict()
    assert fresh.pop("conv_in.weight").shape[1] == 8
    assert all(torch.equal(value, unet.state_dict()[name]) for name, value in fresh.items())


class Knowing(nn.Module):
    """A network that knows the clean latents: its output is right whatever the noise, its hint too."""

    def __init__(self, segmenter, clean, mask):
        super().__init__()
        self.kind, self.alpha_bar, self.clean = segmenter.facts.prediction_type, segmenter.alpha_bar, clean
        self.mask, self.off, self.calls = mask, 0.0, 0

    def output(self, image, noisy, t, f):
        self.calls += 1
        alpha_bar = self.alpha_bar[t][:, None, None, None] if torch.is_tensor(t) else self.alpha_bar[t]
        eps = (noisy - alpha_bar**0.5 * self.clean) / (1 - alpha_bar) ** 0.5
        return target_of(self.kind, self.clean, eps, alpha_bar)

    def forward(self, image, noisy, t, pixels):
        small = F.interpolate(self.mask, noisy.shape[2:], mode="bilinear")
        return self.output(image, noisy, t, None), small + self.off

    def features(self, pixels, grid):
        return None


def test_the_loss_is_zero_for_who_knows_the_mask_and_adds_the_auxiliary_error(family):
    own, batch = segmenter_of(config_on(family, auxiliary=0.5)), scenes(3)
    mask = own.mask_pixels(batch["mask"].numpy())
    knowing = Knowing(own, own.encoded(mask), mask)
    for seed in range(3):
        torch.manual_seed(seed)
        assert own.loss(knowing, batch) < 1e-6
    knowing.off = 0.3
    assert own.loss(knowing, batch).item() == pytest.approx(0.5 * 0.3**2, rel=1e-3)


@pytest.mark.parametrize("levels", [timesteps(10), trailing(4), trailing(1)], ids=str)
def test_ddim_goes_from_a_members_noise_to_what_the_network_says(family, levels):
    own, clean = segmenter_of(config_on(family)), latents(2, 4, 8, 8)
    own.network = Knowing(own, clean, None)
    found = own.denoised(torch.zeros(2, 4, 8, 8), None, 1, levels)
    assert own.network.calls == len(levels)
    # DDIM keeps the noise that it is told: from the first level's it goes straight to level 0's.
    start = own.denoised(torch.zeros(1, 4, 8, 8), None, 1, [])
    first = own.alpha_bar[levels[0]]
    eps = (start - first**0.5 * clean) / (1 - first) ** 0.5
    torch.testing.assert_close(found, noised(clean, eps, own.alpha_bar[0]), atol=1e-4, rtol=1e-3)
    assert not torch.equal(start, own.denoised(torch.zeros(1, 4, 8, 8), None, 0, []))


def test_a_validation_has_its_own_steps_and_no_ensemble(segmenter, monkeypatch):
    levels, batch = [], scenes(2)
    hook = segmenter.network.unet.register_forward_pre_hook(lambda _, args: levels.append(int(args[1])))
    assert segmenter.soft_masks(batch).shape == (2, 128, 128) and levels == [999]
    segmenter.predict(list(batch["image"].numpy()))
    assert levels == [999, *2 * timesteps(2)] and timesteps(2) == [501, 1]
    monkeypatch.setattr(segmenter, "config", segmenter.config.model_copy(update={"spacing": "trailing"}))
    segmenter.predict(list(batch["image"].numpy()))
    assert levels[5:] == 2 * [999, 499]
    hook.remove()


def test_the_swin_is_shown_pixels_from_0_to_1_in_training_and_in_prediction(segmenter):
    batch, seen = scenes(2), []
    hook = segmenter.network.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    segmenter.loss(segmenter.network, batch)
    segmenter.predict(list(batch["image"].numpy()))
    hook.remove()
    expected = (segmenter.pixels(list(batch["image"].numpy())) + 1) / 2
    assert len(seen) == 2 and all(torch.allclose(each, expected) for each in seen) and expected.min() >= 0


def test_a_mask_is_the_aligned_members_median_stretched(segmenter, monkeypatch):
    shape = torch.nn.functional.avg_pool2d(torch.rand(2, 1, 68, 68), 5, 1)[:, 0]
    members = [0.9 * shape, 0.2 + 0.3 * shape, 0.1 + 0.5 * shape.square()]
    monkeypatch.setattr(segmenter, "denoised", lambda image, f, member, levels: members[member])
    monkeypatch.setattr(segmenter, "decoded_masks", lambda latents: latents)
    found = segmenter.masks_of(torch.zeros(2, 3, 64, 64), ensemble=3)
    expected = torch.stack([ensembled(torch.stack([member[i] for member in members])) for i in range(2)])
    low, high = expected.amin((1, 2), keepdim=True), expected.amax((1, 2), keepdim=True)
    torch.testing.assert_close(found, (expected - low) / (high - low))
    assert not torch.allclose(found, torch.stack(members).mean(0), atol=0.05)
    members[1] = torch.full_like(shape, torch.nan)
    assert segmenter.masks_of(torch.zeros(2, 3, 64, 64), ensemble=3).isnan().all()


@pytest.mark.parametrize("rgb_range", ["-1..1", "0..1"])
def test_the_unet_is_shown_the_images_latents_then_the_masks_under_pyramid_noise(tiny_folders, rgb_range, monkeypatch):
    own, batch, seen, asked = segmenter_of(config_on(tiny_folders["sd2"], rgb_range=rgb_range)), scenes(2), [], set()

    def nothing(*given):
        asked.add(given)
        return torch.zeros(given[0])

    monkeypatch.setattr("models.segmenters.sod_diffusion.segmenter.pyramid_noise", nothing)
    own.network.unet.register_forward_pre_hook(lambda _, args: seen.append(args))
    for seed in range(30):
        torch.manual_seed(seed)
        own.loss(own.network, batch)
    pixels = own.pixels(list(batch["image"].numpy()))
    image = own.encoded(pixels if rgb_range == "-1..1" else (pixels + 1) / 2)
    clean = own.encoded(own.mask_pixels(batch["mask"].numpy()))
    for both, t in seen:
        torch.testing.assert_close(
            both, torch.cat([image, own.alpha_bar[t][:, None, None, None] ** 0.5 * clean], dim=1)
        )
    assert any(t[0] != t[1] for _, t in seen)
    levels = torch.cat([t for _, t in seen])
    assert levels.min() < 100 and levels.max() > 900 and asked == {((2, 4, 8, 8), 0.3, 6)}


@pytest.mark.parametrize("choices", [{}, {"fusion": "paa", "rgb_range": "0..1"}, *ABLATIONS], ids=str)
def test_photos_of_any_size_get_masks_of_their_own_whatever_their_company(tiny_folders, choices, monkeypatch):
    """In float32: in bfloat16 untrained networks make a batch's last bits large."""
    monkeypatch.setattr("models.segmenters.latent.mixed_precision", lambda _: nullcontext())
    own, rng = segmenter_of(config_on(tiny_folders["sd2"], **choices)), np.random.default_rng(1)
    photos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (50, 301), (1, 1))]
    for photo, soft in zip(photos, own.predict(photos), strict=True):
        assert soft.shape == photo.shape[:2] and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
        np.testing.assert_allclose(own.predict([photo])[0], soft, atol=2e-3)


def test_the_seed_alone_decides_the_masks(tiny_folders):
    own = segmenter_of(config_on(tiny_folders["sd2"]))
    images = list(scenes(2)["image"].numpy())
    torch.manual_seed(0)
    first = own.predict(images)
    torch.manual_seed(1)
    np.testing.assert_array_equal(own.predict(images), first)
    own.config = own.config.model_copy(update={"seed": 1})
    assert np.abs(np.stack(own.predict(images)) - np.stack(first)).max() > 0.01


@pytest.mark.parametrize("fusion", ["cbam", "paa"])
def test_masks_without_edges_train_and_a_constant_prediction_is_no_nan(tiny_folders, fusion):
    own, batch = segmenter_of(config_on(tiny_folders["sd2"], fusion=fusion)), scenes(2)
    batch["mask"] = torch.stack([torch.zeros(128, 128), torch.ones(128, 128)]).bool()
    loss = own.loss(own.network, batch)
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in own.network.parameters())
    for value in (0.0, 1.0):
        own.decoded_masks = lambda x, value=value: torch.full((len(x), 64, 64), value)
        assert own.masks_of(torch.zeros(2, 3, 64, 64)).eq(value).all()


def test_a_frozen_swin_stays_as_it_is_and_drops_no_paths(tiny_folders):
    config = config_on(tiny_folders["sd2"]).model_copy(update={"freeze_swin": True})
    own, batch = segmenter_of(config), scenes(2)
    swin = own.network.encoder[0]
    before = {name: value.clone() for name, value in swin.state_dict().items()}
    run = Run(own.network, Training(1, 2, 1e-2, ema=None, warmup_steps=0, lr_schedule="constant"), seed=0)
    train(run, lambda start: iter([batch]), own.loss, lambda *_: None)
    assert own.network.training and not any(module.training for module in swin.modules())
    assert all(torch.equal(value, before[name]) for name, value in swin.state_dict().items())
    assert all(p.grad is not None for p in own.network.encoder[1].parameters())


@torch.no_grad()
def test_a_swin_of_timm_sees_its_own_range_or_the_pixels_as_they_are(tiny_folders, monkeypatch):
    """Three stages of half the grid each; the image is brought to the Swin's own size."""
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    monkeypatch.setattr(
        "models.segmenters.sod_diffusion.swin.timm_encoder", lambda *_: (pocket_swin(), (128, 128), mean, std)
    )
    pixels = torch.rand(1, 3, 64, 64)
    enlarged = F.interpolate(pixels, (128, 128), mode="bilinear", antialias=True)
    for given, expected in (
        ("-1..1", (enlarged - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]),
        ("0..1", enlarged),
    ):
        own = segmenter_of(config_on(tiny_folders["sd2"], swin="swin_any", rgb_range=given))
        swin, seen = own.network.encoder[0], []
        swin.network.patch_embed.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        assert [tuple(each.shape[1:]) for each in swin(pixels)] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
        torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_at_full_size_2304_tokens_of_1024_channels_are_attended_to(preset):
    """SD 2.1's UNet with Swin-B, shapes alone."""
    choices = {"backbone": "sd", "preset": preset, "weights": "random", "freeze_swin": False}
    with torch.device("meta"):
        unet = UNet2DConditionModel(**PUBLISHED["sd21"]["unet"] | {"in_channels": 8})
        network = Network(unet, SodDiffusionConfig.model_validate(choices), torch.empty(1, 2, 1024))
        x, t, pixels = torch.empty(2, 4, 48, 48), torch.empty(2), torch.empty(2, 3, 384, 384)
        output, hint = network(x, x, t, pixels)
        assert output.shape == (2, 4, 48, 48) and hint.shape == (2, 3, 48, 48)
        f = network.features(pixels, x.shape[2:])
        assert f.shape == (2, 64, 48, 48) and network.afim(f).shape == (2, 1024, 48, 48)
    swin = network.encoder[0]
    assert swin.size == (384, 384) and swin.channels == [256, 512, 1024]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_it_learns_eight_images_with_pocket(preset):
    batch = scenes(8)
    own = segmenter_of(SodDiffusionConfig(preset=preset, size=64, run={"device": "cpu"}))
    losses: list[float] = []

    def loss_of(network, batch):
        loss = own.loss(network, batch)
        losses.append(loss.item())
        return loss

    training = Training(300, 8, 1e-3, warmup_steps=10, lr_schedule="cosine", ema=None, save_every=1000)
    train(Run(own.network, training, seed=0), lambda start: iter([batch] * (300 - start)), loss_of, lambda *_: None)
    assert np.mean(losses[-20:]) < 0.1 * np.mean(losses[:3])
    found, masks = own.soft_masks(batch) > 0.5, batch["mask"].numpy()
    assert ((found & masks).sum((1, 2)) / (found | masks).sum((1, 2))).mean() > 0.85


@pytest.mark.slow
def test_full_size(tmp_path):
    """SD 2.1's configuration and Swin-B with random weights, as released: gradients reach all, and it predicts."""
    full_size("sd21", tmp_path)
    choices = {"weights": "random", "size": 64, "ensemble": 1, "steps": 2, "run": {"device": "cpu"}}
    config = SodDiffusionConfig.model_validate({"backbone": str(tmp_path), "preset": "released"} | choices)
    config.check(check_backbone(config.backbone), None)
    own, batch = segmenter_of(config), scenes(1)
    loss = own.loss(own.network, batch)
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in own.network.parameters())
    (soft,) = own.predict([batch["image"][0].numpy()])
    assert soft.shape == (128, 128) and np.isfinite(soft).all()
