"""DiffDIS: what is added to the UNet against its equations: injection at three scales, pairs of mask and edge."""

import numpy as np
import pytest
import torch
from torch import nn

from models.segmenters.diffdis.segmenter import batch_labels
from tests.models.segmenters.diffdis.feeding import inputs, run_network
from tests.models.segmenters.smp.test_segmenter import squares


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
