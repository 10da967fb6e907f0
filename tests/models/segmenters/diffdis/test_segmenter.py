"""DiffDIS: the one step, what is added to the UNet against its equations, pairs of mask and edge, what it can learn."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPTextModel

from benchmarks.fullsize import full_size
from models.backbone.ddim import pyramid_noise, target_of
from models.backbone.stable_diffusion import load_network
from models.metrics import iou
from models.pocket.scenes import render
from models.segmenters.diffdis import segmenter as diffdis
from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.diffdis.segmenter import batch_labels
from models.segmenters.latent import in_float32
from models.segmenters.registry import segmenter_of
from models.training.loop import Run, train
from models.training.schedule import Training
from tests.models.segmenters.smp.test_segmenter import squares

PLAIN = {"cutmix": False, "augment": "none"}


@pytest.fixture(scope="module")
def tiny(tiny_folders):
    """A segmenter on a tiny backbone, of v-prediction where no family is named."""

    def make(family: str = "sd2", **choices):
        values = {"backbone": str(tiny_folders[family]), "size": 64, "run": {"device": "cpu", "batch_size": 2}}
        return segmenter_of(DiffDisConfig.model_validate(values | choices))

    return make


def inputs(count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images' latents, repeated, and noise for `count` masks and edges; their levels. The images' halves are alike."""
    torch.manual_seed(3)
    rgb = torch.randn(count // 2, 4, 8, 8)
    return rgb.repeat(2, 1, 1, 1), torch.randn(count, 4, 8, 8), torch.full((count,), 999)


def run_network(own, rgb, noisy, t, labels=None):
    labels = own.labels.repeat_interleave(len(rgb) // 2, 0) if labels is None and own.labels is not None else labels
    return own.network(rgb, noisy, t, own.context.expand(len(rgb), -1, -1), labels)


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
    (rgb, clean, _), alpha_bar = own._latents(batch), own.alpha_bar[999]
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
    clean, (noisy, t, _) = own._latents(batch)[1], calls[0]
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
    own._latents(squares(2))
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


# Scale-wise conditional injection


def test_injection_is_the_identity_at_first_to_the_bit(tiny):
    own = tiny()
    given = inputs()
    with torch.no_grad():
        for training in (False, True):
            own.network.train(training)
            assert len(own.network.injectors) == 3
            expected = run_network(own, *given)
            kept, own.network.injectors = own.network.injectors, nn.ModuleList()
            assert torch.equal(run_network(own, *given), expected)
            own.network.injectors = kept


def skips_of(own, given) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The skips that the decoder takes over, in the encoder's order, and what goes down into the middle."""
    taken, middle = [], []
    unet = own.network.unet
    handles = [unet.mid_block.register_forward_pre_hook(lambda block, given: middle.append(given[0]))]
    handles += [
        block.register_forward_pre_hook(
            lambda block, _, named: taken.insert(0, named["res_hidden_states_tuple"]), with_kwargs=True
        )
        for block in unet.up_blocks
    ]
    with torch.no_grad():
        run_network(own, *given)
    for handle in handles:
        handle.remove()
    return [skip for skips in taken for skip in skips], middle[0]


def test_injection_reaches_the_last_skip_of_three_blocks_and_not_what_goes_down(tiny):
    """One layer a block: skips are conv_in's, then of each block its layer's and, but for the last, its halving's."""
    own = tiny()
    own.network.eval()
    before, down = skips_of(own, inputs())
    for scale, injector in enumerate(own.network.injectors, 1):
        nn.init.constant_(injector.gamma.bias, 0.1 * scale)
        nn.init.constant_(injector.beta.bias, scale)
    after, same_down = skips_of(own, inputs())
    assert torch.equal(down, same_down) and len(before) == 8
    for i, (one, other) in enumerate(zip(before, after, strict=True)):
        scale = {2: 1, 4: 2, 6: 3}.get(i, 0)
        torch.testing.assert_close(other, one + 0.1 * scale * one + scale)


def test_injection_reads_the_image_at_the_skips_own_size(tiny):
    injector, seen = tiny().network.injectors[1].eval(), []
    injector.features.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    ramp = torch.arange(8.0).repeat(1, 4, 8, 1)
    assert injector(torch.zeros(1, 16, 4, 4), ramp).shape == (1, 16, 4, 4)
    torch.testing.assert_close(seen[0][0, 0, 0], torch.tensor([0.5, 2.5, 4.5, 6.5]))


def test_an_injector_is_its_equations(tiny):
    """s + gamma s + beta; gamma and beta are convolutions of GELU(batch norm(convolution(image)))."""
    torch.manual_seed(0)
    injector = tiny().network.injectors[0].double().eval()
    with torch.no_grad():
        for weight in injector.parameters():
            weight += 0.3 * torch.randn_like(weight)
        conv, norm, _ = injector.features
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        skip, image = torch.randn(2, 16, 4, 4).double(), torch.randn(2, 4, 4, 4).double()
        x = (windows(image) @ conv.weight.flatten(1).T + conv.bias - norm.running_mean) / (
            norm.running_var + norm.eps
        ) ** 0.5
        x = x * norm.weight + norm.bias  # (2, h, w, 16)
        x = windows((x * (1 + torch.erf(x / 2**0.5)) / 2).permute(0, 3, 1, 2))
        gamma, beta = (
            (x @ each.weight.flatten(1).T + each.bias).permute(0, 3, 1, 2) for each in (injector.gamma, injector.beta)
        )
        torch.testing.assert_close(injector(skip, image), skip + gamma * skip + beta)


def windows(x):
    """Each cell's 3x3 neighbours, zeros outside: (B, C, h, w) -> (B, h, w, 9 C)."""
    wide = torch.nn.functional.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # (B, C, h, w, 3, 3)
    return wide.permute(0, 2, 3, 1, 4, 5).flatten(3)


@pytest.mark.parametrize("condition", ["latents", "images"])
def test_injectors_read_the_images_latents_or_those_of_the_image_at_three_scales(tiny, monkeypatch, condition):
    own, read = tiny(condition=condition), []
    for injector in own.network.injectors:
        injector.register_forward_pre_hook(lambda _, given: read.append(given[1]))
    rgb = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        own.network.eval()
        own.masks_of(rgb)
    sizes = (64, 64, 64) if condition == "latents" else (32, 16, 8)
    assert len(read) == 3
    for size, each in zip(sizes, read, strict=True):
        small = torch.nn.functional.interpolate(rgb, (size, size), mode="bilinear")
        torch.testing.assert_close(each, own.encoded(small).repeat(2, 1, 1, 1), atol=1e-4, rtol=1e-4)
    read.clear()
    with torch.no_grad():
        own.loss(own.network, squares(2))
    assert [each.shape[2] for each in read] == [size // 8 for size in sizes]


# Detail-balancing interactive attention


def layer_norm(norm, x):
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + norm.eps) * weight + bias


def linear(layer, x):
    made = x @ layer.weight.detach().numpy().T
    return made if layer.bias is None else made + layer.bias.detach().numpy()


def attend(attention, queries, others):
    """softmax(Q K^T / sqrt(d_k)) V for one sample's tokens, head by head."""
    q, k, v = (
        linear(part, x) for part, x in ((attention.to_q, queries), (attention.to_k, others), (attention.to_v, others))
    )
    width, heads = q.shape[1] // attention.heads, []
    for h in range(attention.heads):
        mine = slice(h * width, (h + 1) * width)
        scores = np.exp(q[:, mine] @ k[:, mine].T / np.sqrt(width))
        heads.append(scores / scores.sum(1, keepdims=True) @ v[:, mine])
    return linear(attention.to_out[0], np.concatenate(heads, 1))


def block_by_hand(block, tokens, text, kind):
    """A transformer block with eq. 6 in it, mask and edge each in turn."""
    x = [one + attend(block.attn1, layer_norm(block.norm1, one), layer_norm(block.norm1, one)) for one in tokens]
    normed, half = [layer_norm(block.norm_mutual, one) for one in x], len(tokens) // 2
    for i in range(len(tokens)):
        mask, edge = normed[i % half], normed[i % half + half]
        others = np.concatenate([mask, edge]) if kind == "fusion" else (edge if i < half else mask)
        x[i] = x[i] + attend(block.mutual, normed[i], others)
    made = []
    for one, words in zip(x, text, strict=True):
        one = one + attend(block.attn2, layer_norm(block.norm2, one), words)
        hidden, gate = np.split(linear(block.ff.net[0].proj, layer_norm(block.norm3, one)), 2, axis=1)
        gelu = torch.nn.functional.gelu(torch.from_numpy(gate)).numpy()
        made.append(one + linear(block.ff.net[2], hidden * gelu))
    return np.stack(made)


@pytest.mark.parametrize("kind", ["mutual", "fusion"])
def test_the_interactive_block_is_its_equations(tiny, kind):
    torch.manual_seed(1)
    (block,) = tiny(dbia=kind).network.unet.mid_block.attentions[0].transformer_blocks
    block.double()
    with torch.no_grad():  # the copy apart from what it was copied from
        for weight in block.parameters():
            weight += 0.3 * torch.randn_like(weight)
        tokens, text = torch.randn(4, 5, 32, dtype=torch.float64), torch.randn(4, 2, 32, dtype=torch.float64)
        found = block(tokens, encoder_hidden_states=text).numpy()
    np.testing.assert_allclose(found, block_by_hand(block, tokens.numpy(), text.numpy(), kind), rtol=1e-9, atol=1e-9)


def test_mutual_attention_starts_as_a_copy_of_self_attention_and_learns_apart(tiny):
    (block,) = tiny().network.unet.mid_block.attentions[0].transformer_blocks
    for copy, origin in ((block.mutual, block.attn1), (block.norm_mutual, block.norm1)):
        for one, other in zip(copy.parameters(), origin.parameters(), strict=True):
            assert torch.equal(one, other) and one.data_ptr() != other.data_ptr()


@pytest.mark.parametrize("kind", ["mutual", "fusion", "none"])
def test_a_mask_learns_of_its_own_edge_and_of_no_others_only_where_they_interact(tiny, kind):
    own = tiny(dbia=kind)
    own.network.eval()
    rgb, noisy, t = inputs()
    noisy.requires_grad_()
    run_network(own, rgb, noisy, t)[0].sum().backward()
    felt = noisy.grad.abs().amax((1, 2, 3)) > 0
    assert felt.tolist() == [True, False, kind != "none", False]


@pytest.mark.parametrize("kind", ["mutual", "fusion", "none"])
def test_masks_and_edges_change_places_with_their_labels_and_noises(tiny, kind):
    own = tiny(dbia=kind)
    own.network.eval()
    rgb, noisy, t = inputs()
    labels, turned = batch_labels().repeat_interleave(2, 0), [2, 3, 0, 1]
    with torch.no_grad():
        found = run_network(own, rgb, noisy, t, labels)
        swapped = run_network(own, rgb, noisy[turned], t, labels[turned])
        only_noise = run_network(own, rgb, noisy[turned], t, labels)
    torch.testing.assert_close(swapped[turned], found, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(only_noise[turned], found, rtol=1e-3, atol=1e-4)


# Training and prediction


def test_the_labels_layers_learn_ten_times_as_fast_and_all_is_trained(tiny):
    own = tiny(**PLAIN)
    run = Run(own.network, Training(1, 2, 1e-3, warmup_steps=0, rates=own.config.rates()), seed=0)
    names = {id(parameter): name for name, parameter in own.network.named_parameters()}
    by_factor = {g["factor"]: {names[id(p)] for p in g["params"]} for g in run.optimiser.param_groups}
    assert by_factor[10.0] == {name for name in names.values() if "class_embedding" in name} != set()
    own.loss(own.network, squares(2)).backward()
    assert all(parameter.grad is not None for parameter in own.network.parameters())
    config = DiffDisConfig(backbone="x/y")
    assert (config.learning_rate, config.batch_size, config.epochs, config.size) == (3e-5, 4, 90, 1024)
    assert config.lr_schedule == "stepped" and config.weight_decay == 0 and DiffDisConfig().size == 128


@pytest.mark.parametrize(
    "choices",
    [{"edge": False, "dbia": "none", "swci": False, "cutmix": False}, {"dbia": "none"}, {"swci": False},
     {"dbia": "fusion"}, {"steps": "1*/2"}, {"steps": "2/2"}, {"steps": "1*/10"}, {"start": "random"},
     {"preset": "paper"}, {"preset": "released"}],
)  # fmt: skip
def test_every_row_of_the_tables_trains_and_predicts(tiny, choices):
    own, batch = tiny(**choices), squares(3)
    own.loss(own.network, batch).backward()
    assert all(parameter.grad is not None for parameter in own.network.parameters())
    assert hasattr(own.network.unet, "class_embedding") and (own.labels is None) == (not own.config.edge)
    assert np.isfinite(own.soft_masks(batch)).all()


@pytest.mark.parametrize("tta", [False, True])
def test_photos_of_any_size_get_masks_of_their_own_whatever_their_company(tiny, tta):
    own, rng = tiny(tta=tta), np.random.default_rng(1)
    photos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (50, 131), (1, 1))]
    for photo, soft in zip(photos, own.predict(photos), strict=True):
        assert soft.shape == photo.shape[:2] and soft.dtype == np.float32 and 0 <= soft.min() <= soft.max() <= 1
        np.testing.assert_allclose(own.predict([photo])[0], soft, atol=2e-3)


def test_six_views_are_scaled_and_mirrored_and_brought_back(tiny, monkeypatch):
    """Where each pass gives the red channel back, all six together give it too: nothing is misplaced or left out."""
    own, seen = tiny(tta=True), []

    def red(rgb):
        seen.append((rgb.shape[2], bool(rgb[0, 0, :, 0].mean() > rgb[0, 0, :, -1].mean())))
        return rgb[:, 0]

    monkeypatch.setattr(own, "_masks", red)
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    torch.testing.assert_close(own.masks_of(ramp), ramp[:, 0], atol=0.01, rtol=0)
    assert sorted(seen) == [(side, mirrored) for side in (48, 64, 80) for mirrored in (False, True)]
    seen.clear()
    own.soft_masks({"image": torch.zeros(1, 64, 64, 3, dtype=torch.uint8)})  # a validation has one view
    assert seen == [(64, False)]


def test_masks_are_stretched_to_their_own_range_and_a_constant_one_stays(tiny, monkeypatch):
    own = tiny()
    flat = torch.stack([torch.linspace(0.4, 0.6, 64).expand(64, 64), torch.full((64, 64), 0.3)])
    monkeypatch.setattr(own, "decoded_masks", lambda latents: flat)
    with torch.no_grad():
        found = own.masks_of(torch.zeros(2, 3, 64, 64))
    assert found[0].min() == 0 and found[0].max() == 1 and torch.equal(found[1], flat[1])


def test_empty_full_and_single_samples_train(tiny):
    own = tiny()
    for masks in (torch.zeros(3, 64, 64), torch.ones(3, 64, 64), torch.zeros(1, 64, 64)):
        batch = {"image": torch.full((len(masks), 64, 64, 3), 90, dtype=torch.uint8), "mask": masks.bool()}
        assert torch.isfinite(own.loss(own.network, batch))


def test_image_mask_and_edge_are_mixed_in_the_same_box(tiny, monkeypatch):
    """Each pixel of all three together is the sample's own or its partner's; of the last of five, its own."""
    batch, seen = squares(5) | {"image": torch.randint(0, 256, (5, 64, 64, 3), dtype=torch.uint8)}, []
    for choices in (PLAIN, PLAIN | {"cutmix": True}):
        own = tiny(**choices)
        monkeypatch.setattr(own, "encoded", lambda pixels: pixels)
        torch.manual_seed(1)
        rgb, truths, _ = own._latents(batch)
        seen.append(torch.cat([rgb, *truths.split(5)], dim=1))  # (5, 9, 64, 64)
    plain, mixed = seen
    kept, partner = (mixed == plain).all(1), (mixed == plain[[1, 0, 3, 2, 4]]).all(1)
    assert (kept | partner).all() and kept[4].all() and not kept[:4].all()


def test_the_loss_follows_from_torchs_seed(tiny):
    own, batch = tiny(), squares(4)
    own.network.eval()  # batch statistics would be the same, but running ones move
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(own.loss(own.network, batch).item())
    assert losses[0] == losses[1] != losses[2]


def test_dbia_without_an_edge_is_refused():
    with pytest.raises(ValueError, match="dbia: expected none where edge is false, got 'mutual'"):
        DiffDisConfig(edge=False)
    assert DiffDisConfig(edge=False, dbia="none").swci


def fitted(own, batch, steps: int) -> list[float]:
    """The losses of a training on one batch."""
    training = Training(
        steps, len(batch["mask"]), own.config.learning_rate, weight_decay=0, warmup_steps=0, lr_schedule="cosine",
        ema=None, max_grad_norm=None, save_every=1000, rates=own.config.rates(),
    )  # fmt: skip
    losses = []

    def loss_of(network, batch):
        losses.append(own.loss(network, batch))
        return losses[-1]

    train(Run(own.network, training, seed=0), lambda start: iter([batch] * (steps - start)), loss_of, lambda *_: None)
    return [loss.item() for loss in losses]


@pytest.mark.slow
def test_the_loss_of_eight_scenes_falls_to_near_zero():
    values = {"size": 64, "learning_rate": 5e-4, "run": {"device": "cpu"}} | PLAIN
    own, scenes = segmenter_of(DiffDisConfig.model_validate(values)), [render(5, i) for i in range(8)]
    masks = np.stack([scene.mask for scene in scenes])
    batch = {"image": torch.from_numpy(np.stack([s.image for s in scenes])), "mask": torch.from_numpy(masks)}
    losses = fitted(own, batch, 60)
    found = [iou(soft, mask) for soft, mask in zip(own.soft_masks(batch), masks, strict=True)]
    assert np.mean(losses[-5:]) < 0.1 * losses[0] and np.mean(found) > 0.85, (losses, found)


@pytest.mark.slow
def test_full_size(tmp_path):
    """SD 2.1's configuration with random weights at 64x64: a step's gradients reach all of it, and it predicts."""
    full_size("sd21", tmp_path)
    values = {"backbone": str(tmp_path), "size": 64, "batch_size": 2, "run": {"device": "cpu"}}
    own, batch = segmenter_of(DiffDisConfig.model_validate(values)), squares(2)
    (block,) = own.network.unet.mid_block.attentions[0].transformer_blocks
    assert round(sum(weight.numel() for weight in own.network.parameters()) / 1e6) == 913  # as docs/diffdis.md says
    assert own.context.shape == (1, 2, 1024) and block.mutual.to_q.weight.shape == (1280, 1280)
    assert [injector.beta.out_channels for injector in own.network.injectors] == [320, 640, 1280]
    loss = own.loss(own.network, batch)
    loss.backward()
    assert torch.isfinite(loss) and all(weight.grad.isfinite().all() for weight in own.network.parameters())
    assert np.isfinite(own.soft_masks(batch)).all()
