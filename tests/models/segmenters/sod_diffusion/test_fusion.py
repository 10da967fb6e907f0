"""SOD-diffusion's fusion modules against slow plain references."""

import numpy as np
import pytest
import torch
from torch import nn

from models.segmenters.sod_diffusion.fusion import AxisAttention, Cbam, Fusion, PaaStage, PlainCrossAttention, Tile


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_cbam(cbam: Cbam, x: np.ndarray) -> np.ndarray:
    """One image (C, h, w), cell by cell, from the module's weights."""
    first, _, second = cbam.shared
    weights = [layer.detach().double().numpy() for m in (first, second) for layer in (m.weight[..., 0, 0], m.bias)]

    def shared(v: np.ndarray) -> np.ndarray:
        return weights[2] @ np.maximum(weights[0] @ v + weights[1], 0) + weights[3]

    flat = x.reshape(len(x), -1)
    x = x * sigmoid(shared(flat.mean(1)) + shared(flat.max(1)))[:, None, None]
    seen = np.pad(np.stack([x.mean(0), x.max(0)]), ((0, 0), (3, 3), (3, 3)))
    kernel, bias = cbam.spatial.weight.detach().double().numpy()[0], cbam.spatial.bias.item()
    out = np.empty_like(x)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            out[:, i, j] = x[:, i, j] * sigmoid((kernel * seen[:, i : i + 7, j : j + 7]).sum() + bias)
    return out


def test_cbam_is_what_its_equations_say():
    torch.manual_seed(0)
    cbam, x = Cbam(48), torch.randn(2, 48, 9, 6)
    assert cbam.shared[0].out_channels == 3  # 48 / 16
    found = cbam(x).detach().numpy()
    for image, own in zip(x.double().numpy(), found, strict=True):
        np.testing.assert_allclose(own, slow_cbam(cbam, image), atol=1e-5)


@pytest.mark.parametrize("axis", [2, 3])
def test_axis_attention_is_softmax_over_rows_or_columns_as_whole_tokens(axis):
    torch.manual_seed(0)
    attention, x = AxisAttention(axis).eval(), torch.randn(1, 64, 5, 7)
    assert torch.equal(attention(x), x)  # gamma is 0 at first
    nn.init.constant_(attention.gamma, 0.7)
    with torch.no_grad():
        query, key, value = (each(x)[0].double() for each in (attention.query, attention.key, attention.value))
        tokens = range(x.shape[axis])

        def token(values: torch.Tensor, i: int) -> torch.Tensor:
            return values[:, i] if axis == 2 else values[:, :, i]

        expected = x[0].double().clone()
        for i in tokens:
            scores = torch.stack([(token(query, i) * token(key, j)).sum() for j in tokens])
            weights = (scores - scores.max()).exp()
            mixed = sum(w * token(value, j) for j, w in enumerate(weights / weights.sum()))
            token(expected, i).add_(0.7 * mixed)
        torch.testing.assert_close(attention(x)[0].double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["cbam", "paa", "plain"])
def test_stages_become_one_map_on_the_finest_grid_and_each_counts(kind):
    torch.manual_seed(0)
    fusion = Fusion(kind, [8, 16, 32]).eval()
    stages = [torch.randn(2, C, h, w, requires_grad=True) for C, h, w in ((8, 12, 8), (16, 6, 4), (32, 3, 2))]
    f = fusion(stages)
    assert f.shape == (2, 64, 12, 8)
    slopes = torch.autograd.grad(f.square().sum(), stages)
    assert all(slope.abs().sum() > 0 for slope in slopes)
    assert any(isinstance(m, Cbam) for m in fusion.modules()) == (kind == "cbam")
    assert sum(isinstance(m, AxisAttention) for m in fusion.modules()) == (2 * (3 * 3 + 1) if kind == "paa" else 0)


def test_the_branches_of_a_paa_stage_reach_ever_further():
    """RFB's: rows and columns of 3, 5 and 7 cells, then a 3x3 convolution with as many between its cells."""
    stage = PaaStage(8).eval()
    reaches = []
    for each in stage.branches:
        x = torch.zeros(1, 8, 41, 41, requires_grad=True)
        (slope,) = torch.autograd.grad(each(x)[..., 20, 20].sum(), x)
        cells = slope.abs().sum((0, 1)).nonzero()
        reaches.append((cells.amax(0) - cells.amin(0) + 1).tolist())
    assert reaches == [[1, 1], [9, 9], [15, 15], [21, 21]]


def test_a_paa_stage_adds_its_joined_branches_to_a_path_beside_them():
    torch.manual_seed(0)
    stage, x = PaaStage(8).eval(), torch.randn(2, 8, 9, 7)
    joined = stage.together(torch.cat([each(x) for each in stage.branches], dim=1))
    expected = (joined + stage.residual(x)).clamp(min=0)
    torch.testing.assert_close(stage(x), expected)
    assert joined.shape == (2, 64, 9, 7) and not torch.allclose(expected, joined.clamp(min=0))


def test_tile_repeats_the_channels_in_their_order():
    f = torch.randn(2, 64, 3, 5)
    tiled = Tile(1024)(f)
    assert tiled.shape == (2, 1024, 3, 5)
    for c in (0, 63, 64, 200, 1023):
        assert torch.equal(tiled[:, c], f[:, c % 64])


def test_plain_cross_attention_begins_as_the_identity_and_then_sees_f():
    torch.manual_seed(0)
    plain, x, f = PlainCrossAttention(8), torch.randn(1, 8, 4, 4), torch.randn(1, 64, 4, 4)
    assert torch.equal(plain(x, f), x)
    nn.init.normal_(plain.out.weight)
    moved = plain(x, f)
    assert not torch.allclose(moved, x)
    shuffled = f.flatten(2)[..., torch.randperm(16)].unflatten(2, (4, 4))
    torch.testing.assert_close(plain(x, shuffled), moved, atol=1e-5, rtol=1e-5)
