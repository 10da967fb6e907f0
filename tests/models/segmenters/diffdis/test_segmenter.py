"""DiffDIS: the one step, its noise and its loss by their equations, and the UNet that it begins as."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPTextModel

from models.backbone.ddim import pyramid_noise, target_of
from models.backbone.stable_diffusion import load_network
from models.segmenters.diffdis import segmenter as diffdis
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.latent import in_float32
from tests.models.segmenters.diffdis.feeding import PLAIN, inputs, run_network
from tests.models.segmenters.smp.test_segmenter import squares


@pytest.mark.parametrize("steps", ["1/1", "2/2", "1*/10"])
@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_the_true_noise_or_velocity_gives_the_clean_latents_back(tiny, family, steps):
    own = tiny(family, steps=steps)
    torch.manual_seed(0)
    clean, eps, rgb = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8), torch.randn(2, 4, 8, 8)
    alpha_bar = own.alpha_bar[own.levels[0]]

    def knows(rgb, noisy, t, context, labels, conditions):
        return target_of(own.facts.prediction_type, clean, eps, own.alpha_bar[t][:, None, None, None])

    noisy = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * eps
    found = own.denoised(knows, rgb, noisy, own.levels[:, None].expand(-1, 2))
    torch.testing.assert_close(found, clean, rtol=1e-4, atol=1e-4)


def test_one_step_is_at_999_and_the_variants_are_those_of_table_4(tiny):
    assert tiny().levels.tolist() == [999] and tiny(steps="2/2").levels.tolist() == [999, 499]
    assert tiny(steps="1*/10").levels.tolist() == list(range(999, 0, -100))
    torch.manual_seed(0)
    assert tiny(steps="2/2")._drawn_levels(3).tolist() == [[999] * 3, [499] * 3]
    assert set(tiny(steps="1*/2")._drawn_levels(50)[0].tolist()) == {999, 499}
    drawn = tiny(steps="1*/10")._drawn_levels(2000)
    assert drawn.shape == (1, 2000) and drawn.min() < 20 and drawn.max() > 980


def test_the_unet_takes_the_image_before_the_noise(tiny):
    own, (rgb, noisy, t), seen = tiny(), inputs(), []
    own.network.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    run_network(own, rgb, noisy, t)
    assert torch.equal(seen[0], torch.cat([rgb, noisy], dim=1))


def test_a_prediction_starts_masks_and_edges_of_all_images_from_one_noise(tiny):
    own, seen = tiny(), []
    own.network.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0][:, 4:]))
    own.predict([np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 200, np.uint8)])
    assert seen[0].shape == (4, 4, 8, 8) and all(torch.equal(each, seen[0][0]) for each in seen[0])
    assert seen[0].std() > 0.8


def test_the_loss_is_the_squared_error_of_masks_and_of_edges_under_noises_of_their_own(tiny, monkeypatch):
    own, batch, seen, discounts = tiny(**PLAIN), squares(3), {}, []
    monkeypatch.setattr(diffdis, "pyramid_noise", lambda *given: discounts.append(given[1:]) or pyramid_noise(*given))

    def says_nothing(rgb, noisy, t, context, labels, conditions):
        seen.update(rgb=rgb, noisy=noisy, t=t, labels=labels, context=context)
        return torch.zeros_like(noisy)

    torch.manual_seed(0)
    loss = own.loss(says_nothing, batch)
    (rgb, clean, _), alpha_bar = own._latents(own._pictures(batch)[0]), own.alpha_bar[999]
    errors = (alpha_bar**0.5 * seen["noisy"] - clean).square()  # a v of zero says x_0 = sqrt(alpha_bar) x
    torch.testing.assert_close(loss, errors[:3].mean() + errors[3:].mean())
    torch.testing.assert_close(clean[:3], own.encoded(own.mask_pixels(batch["mask"].numpy())))
    torch.testing.assert_close(seen["rgb"], rgb.repeat(2, 1, 1, 1))
    assert seen["t"].tolist() == [999] * 6 and seen["context"].shape[:2] == (6, 2)
    noises = (seen["noisy"] - alpha_bar**0.5 * clean) / (1 - alpha_bar) ** 0.5
    assert noises.std().item() == pytest.approx(1, abs=1e-4)
    pairs = torch.corrcoef(noises.flatten(1))
    assert pairs.fill_diagonal_(0).abs().max() < 0.8
    expected = torch.tensor([[0, 0.8415, 1, 0.5403]] * 3 + [[0.8415, 0, 0.5403, 1]] * 3)
    torch.testing.assert_close(seen["labels"], expected, rtol=1e-4, atol=1e-4)
    assert discounts == [(0.8,)]


@pytest.mark.parametrize("steps", ["1/1", "2/2", "1*/2", "1*/10"])
def test_training_starts_from_the_first_level_and_learns_through_every_step(tiny, monkeypatch, steps):
    own, batch, calls = tiny(steps=steps, **PLAIN), squares(8), []
    monkeypatch.setattr(diffdis, "pyramid_noise", lambda shape, discount: torch.zeros(shape))

    def says(rgb, noisy, t, context, labels, conditions):
        calls.append((noisy, t, torch.zeros(noisy.shape, requires_grad=True)))
        return calls[-1][2]

    torch.manual_seed(0)
    own.loss(says, batch).backward()
    clean, (noisy, t, _) = own._latents(own._pictures(batch)[0])[1], calls[0]
    torch.testing.assert_close(noisy, own.alpha_bar[t][:, None, None, None] ** 0.5 * clean)
    assert len(calls) == (2 if steps == "2/2" else 1) and all(said.grad.abs().max() > 0 for *_, said in calls)
    assert torch.equal(t[:8], t[8:]) and (len(set(t.tolist())) > 1) == ("*" in steps)


def test_the_papers_noise_is_one_for_mask_and_edge_and_as_normal_as_in_predictions(tiny):
    own, clean = tiny(noise="normal"), torch.zeros(64, 4, 8, 8)
    noises = own._noises(32, clean)
    assert torch.equal(noises[:32], noises[32:]) and noises.std().item() == pytest.approx(1, abs=0.03)
    assert torch.nn.functional.avg_pool2d(noises, 4).std().item() == pytest.approx(1 / 4, rel=0.1)  # no large grains
    assert not torch.equal(*tiny()._noises(32, clean).chunk(2))


def test_presets_lie_under_what_is_given_and_over_the_defaults():
    differing = ("noise", "condition", "augment", "tta", "epochs")
    mixed, paper, released = (
        [getattr(DiffDisConfig(backbone="sd", preset=preset), name) for name in differing]
        for preset in ("mixed", "paper", "released")
    )
    assert mixed == ["pyramid", "latents", "released", False, 90]
    assert paper == ["normal", "latents", "paper", False, 90]
    assert released == ["pyramid", "images", "released", True, 100]
    for wrong in ("both", [1], None):
        with pytest.raises(ValueError, match="'mixed', 'paper' or 'released'"):
            DiffDisConfig.model_validate({"preset": wrong})
    own = DiffDisConfig(preset="released", tta=False)
    assert (own.tta, own.condition, own.size) == (False, "images", 128)


@pytest.mark.parametrize("kind", ["released", "paper", "none"])
def test_samples_are_altered_as_configured(tiny, monkeypatch, kind):
    asked = []
    monkeypatch.setattr(diffdis, "augmented", lambda *given: asked.append(given[3]) or (torch.zeros(2, 3, 64, 64),) * 3)
    own = tiny(augment=kind, cutmix=False)
    own._latents(own._pictures(squares(2))[0])
    assert asked == [kind]


def test_a_prediction_is_of_the_masks_and_its_noise_follows_from_the_seed(tiny, monkeypatch):
    photos, starts = [np.zeros((64, 64, 3), np.uint8)] * 2, []
    for seed in (0, 1, 1):
        own = tiny(seed=seed)

        def marked(network, rgb, noisy, levels, conditions):
            starts.append(noisy[0])
            return torch.arange(len(noisy)).float()[:, None, None, None].expand_as(noisy)  # masks 0 and 1, edges 2, 3

        monkeypatch.setattr(own, "denoised", marked)
        monkeypatch.setattr(own, "decoded_masks", lambda latents: latents[:, 0] / 4)
        assert [soft.max() for soft in own.predict(photos)] == [0, 0.25]
    assert not torch.equal(starts[0], starts[1]) and torch.equal(starts[1], starts[2])


def test_the_context_is_the_start_and_the_end_of_an_empty_prompt_and_no_text_encoder_stays(tiny):
    own = tiny()
    assert own.context.shape == (1, 2, 32)
    assert not any(isinstance(part, CLIPTextModel) for part in (*vars(own).values(), *own.network.modules()))


def test_conv_in_on_the_same_twice_is_the_backbones_own(tiny):
    own = tiny()
    conv, x = load_network(own.facts, "unet").conv_in, torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(own.network.unet.conv_in(torch.cat([x, x], 1)), conv(x), rtol=1e-5, atol=1e-6)


def test_all_that_the_backbone_has_is_there_at_first_and_random_weights_are_others(tiny):
    own, there = tiny(), load_network(tiny().facts, "unet").state_dict()
    found = own.network.unet.state_dict()
    kept = {name: value for name, value in there.items() if name in found and name != "conv_in.weight"}
    assert len(kept) == len(there) - 1 and all(torch.equal(found[name], value) for name, value in kept.items())
    random = tiny(start="random").network.unet.state_dict()
    assert not torch.equal(random["mid_block.resnets.0.conv1.weight"], there["mid_block.resnets.0.conv1.weight"])


def test_the_output_is_computed_in_float32_where_all_else_is_not():
    conv, x = nn.Conv2d(4, 2, 3, padding=1), torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        exact, rounded = in_float32(conv)(x), conv(x)
    assert exact.dtype == torch.float32 and torch.equal(exact, conv(x)) and not torch.equal(rounded.float(), exact)


def test_the_network_ends_in_float32_under_autocast(tiny):
    own = tiny("sd1")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert run_network(own, *inputs()).dtype == torch.float32
