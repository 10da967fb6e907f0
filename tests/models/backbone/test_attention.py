"""Recorded attention against a dense reference that shares nothing with it but the layers' own queries and keys."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.backbone import attention
from models.backbone.attention import Record, record_attention
from models.backbone.ddim import noise
from models.backbone.protocol import AttentionLayer
from models.backbone.sampling import denoise
from models.backbone.tokens import category_span
from models.config.cut import CutConfig
from models.cut import seeds as seedcells
from models.cut.attentioncut import affinities_of, cut, evidence_of
from models.cut.seeds import boundary_cells, mean_of_top, normalise, refined_map, seed_cells

CUT = CutConfig()
PROMPTS, CATEGORIES = ["a cat", "one red box"], ["cat", "red box"]
STEPS = 3


def self_layer(halvings):
    return AttentionLayer("self", halvings, is_cross=False)


def latent_grid(backbone, grid):
    """The latent grid whose attention grid is this one."""
    return tuple(side << backbone.facts.attention_halvings for side in grid)


def start(backbone, grid):
    text = backbone.encode_text(PROMPTS)
    empty = backbone.encode_text([""]).repeated(len(PROMPTS))
    return torch.stack([noise(30 + i, (4, *latent_grid(backbone, grid))) for i in range(2)]), text, empty


def recorded(backbone, grid, mode):
    latents, text, empty = start(backbone, grid)
    spans = [category_span(backbone.tokenizer, p, c) for p, c in zip(PROMPTS, CATEGORIES, strict=True)]
    with record_attention(backbone, latent_grid(backbone, grid), spans, text.tokens.shape[1], mode) as record:
        denoise(backbone, latents, text, empty, STEPS, 3.0)
    return record


def reference(backbone, grid, top_k):
    """A_c (2, h, w) and A_s (2, N, N) in float64, from hooks on every layer's projections in an unrecorded run."""
    latents, text, empty = start(backbone, grid)
    seen, hooks = {}, []
    for name, module in backbone.unet.named_modules():
        if name.endswith((".attn1", ".attn2")):
            for part in ("to_q", "to_k"):
                store = seen.setdefault(name, {"heads": module.heads}).setdefault(part, [])
                keep = lambda m, i, o, store=store: store.append(o[2:].double())  # noqa: E731
                hooks.append(getattr(module, part).register_forward_hook(keep))
    denoise(backbone, latents, text, empty, STEPS, 3.0)
    for hook in hooks:
        hook.remove()
    h, w = grid
    cross, whole, layers = [], torch.zeros(2, h, w, h, w, dtype=torch.float64), 0
    for name, layer in seen.items():
        probs = 0
        for q, k in zip(layer["to_q"], layer["to_k"], strict=True):
            d = q.shape[2] // layer["heads"]
            for j in range(layer["heads"]):
                part = slice(j * d, (j + 1) * d)
                scores = torch.einsum("bnd,bmd->bnm", q[..., part], k[..., part]) / d**0.5
                probs = probs + scores.softmax(-1) / layer["heads"] / STEPS
        f = round((h * w / probs.shape[1]) ** 0.5)
        if name.endswith("attn2"):
            spans = [category_span(backbone.tokenizer, p, c) for p, c in zip(PROMPTS, CATEGORIES, strict=True)]
            maps = [own[:, span].mean(1) for own, span in zip(probs, spans, strict=True)]
            maps = torch.stack(maps).reshape(2, 1, h // f, w // f)
            cross.append(torch.nn.functional.interpolate(maps, (h, w), mode="bilinear")[:, 0])
        else:
            y, x = torch.arange(h) // f, torch.arange(w) // f
            own = probs.reshape(2, h // f, w // f, h // f, w // f)
            whole += own[:, y][:, :, x][:, :, :, y][..., x] / f**2
            layers += 1
    class_maps = []
    for i in range(2):
        best = sorted((m[i] for m in cross), key=lambda m: -float(m.std()))[:top_k]
        class_maps.append(torch.stack(best).mean(0).numpy())
    return class_maps, (whole / layers).reshape(2, h * w, h * w).numpy()


def error(got, expected):
    return np.abs(got - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("grid", [(16, 16), (16, 24)])
def test_full_mode_equals_the_dense_reference(backbone, grid):
    record = recorded(backbone, grid, "full")
    class_maps, whole = reference(backbone, grid, top_k=2)
    for i in range(2):
        evidence = record.evidence(i, 2, CUT)
        assert np.ptp(class_maps[i]) > 0.02 * class_maps[i].mean()  # the reference is not flat
        assert error(evidence.class_map, class_maps[i]) <= 1e-3
        assert error(record.self_attention(i), whole[i]) <= 1e-3
        assert (np.abs(record.self_attention(i) - whole[i]) <= 1e-3 * whole[i] + 1e-9).all()


@pytest.fixture
def few_seed_cells(monkeypatch):
    """Small grids thin their seed cells too, as those above 48 cells a side do."""
    monkeypatch.setattr(seedcells, "MAX_SIDE", 16)
    attention._keys_of_seed_cells.cache_clear()
    yield
    attention._keys_of_seed_cells.cache_clear()


@pytest.mark.parametrize("grid", [(16, 16), (16, 24), (32, 24)])
def test_evidence_mode_equals_full_mode(backbone, grid, few_seed_cells):
    full, evidence = recorded(backbone, grid, "full"), recorded(backbone, grid, "evidence")
    for i in range(2):
        whole = full.self_attention(i)
        np.testing.assert_allclose(evidence.affinities(i), affinities_of(whole, *grid), rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(evidence.layer_maps(i), full.layer_maps(i), rtol=1e-5)
        symmetric = (whole + whole.T) / 2
        np.testing.assert_allclose(evidence.seed_columns(i), symmetric[:, seed_cells(*grid)], rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(evidence.evidence(i, 2, CUT).refined, full.evidence(i, 2, CUT).refined, rtol=1e-4)


def test_rows_of_self_attention_sum_to_one(backbone):
    np.testing.assert_allclose(recorded(backbone, (16, 24), "full").self_attention(1).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("grid", [(16, 16), (32, 24)])
def test_the_evidence_is_attentioncuts(backbone, grid, few_seed_cells):
    """A build's evidence in either mode is that of `evidence_of` A_c and A_s, also where seed cells are thinned."""
    full = recorded(backbone, grid, "full").evidence(0, 2, CUT)
    expected = evidence_of(full.class_map, recorded(backbone, grid, "full").self_attention(0), CUT)
    recorded_evidence = recorded(backbone, grid, "evidence").evidence(0, 2, CUT)
    for name in ("class_map", "refined", "affinities"):
        np.testing.assert_allclose(getattr(full, name), getattr(expected, name), rtol=1e-5)
        np.testing.assert_allclose(getattr(recorded_evidence, name), getattr(expected, name), rtol=1e-4, atol=1e-9)


def test_evidence_mode_keeps_no_whole_map():
    """At 64x64, nothing held of a sample is larger than all queries by a quarter of the keys."""
    record = Record((64, 64), torch.ones(1, 4), "evidence")
    for halvings in range(4):
        cells = 4096 >> 2 * halvings
        record.add(self_layer(halvings), torch.randn(1, 2, cells, 4), torch.randn(1, 2, cells, 4), 0.5)
    held = [t for sums in (record.whole, record.columns, record.stencil) for t in sums.values()]
    assert not record.whole and max(t.numel() for t in held) <= 4096 * 1024
    assert sum(t.numel() for t in held) < 4096 * 4096 / 2


def test_queries_in_blocks_give_the_same(backbone, monkeypatch):
    whole = recorded(backbone, (16, 16), "evidence")
    monkeypatch.setattr("models.backbone.attention.MAX_SCORES", 10_000)
    blocks = recorded(backbone, (16, 16), "evidence")
    np.testing.assert_allclose(blocks.seed_columns(1), whole.seed_columns(1), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(blocks.affinities(1), whole.affinities(1), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(blocks.layer_maps(1), whole.layer_maps(1), rtol=1e-5)


def test_processors_come_back_even_after_an_exception(backbone):
    own = dict(backbone.unet.attn_processors)
    with pytest.raises(RuntimeError, match="on purpose"), record_attention(backbone, (16, 16), [[1]], 32):
        assert all(p is not own[name] for name, p in backbone.unet.attn_processors.items())
        raise RuntimeError("on purpose")
    assert dict(backbone.unet.attn_processors) == own


def test_top_layers_by_standard_deviation():
    maps = np.stack([np.full((2, 2), 9.0), np.array([[0, 1], [0, 1.0]]), np.array([[0, 4], [0, 4.0]])]).astype(
        np.float32
    )
    np.testing.assert_array_equal(mean_of_top(maps, 1), maps[2])
    np.testing.assert_array_equal(mean_of_top(maps, 2), (maps[1] + maps[2]) / 2)
    np.testing.assert_allclose(mean_of_top(maps, 99), maps.mean(0))


@settings(max_examples=30, deadline=None)
@given(h=st.integers(1, 25), w=st.integers(1, 25), k=st.sampled_from([1, 2, 8]))
def test_seed_cells_are_one_in_each_block(h, w, k):
    cells = seed_cells(h * k, w * k)
    assert (np.diff(cells) > 0).all() and cells.max() < h * w * k * k
    side = round((h * w * k * k / len(cells)) ** 0.5)
    blocks = (cells // (w * k) // side) * w * k + cells % (w * k) // side
    assert len(np.unique(blocks)) == len(cells) == h * w * k * k // side**2
    assert side == 1 or max(h, w) * k > 48


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), num_seeds=st.integers(1, 40))
def test_refined_map_is_the_mean_of_columns_at_boundary_seeds(seed, num_seeds):
    rng = np.random.default_rng(seed)
    class_map = rng.random((6, 6)).astype(np.float32)
    columns = rng.random((36, 36)).astype(np.float32)
    boundary = boundary_cells(normalise(class_map), 0.4)
    got = refined_map(columns, class_map, CutConfig(tau=0.4, num_seeds=num_seeds)).ravel()
    if len(boundary) <= num_seeds:
        np.testing.assert_allclose(got, columns[:, boundary].mean(1) if len(boundary) else 0, rtol=1e-5)
    else:  # some |B| of them: their mean lies between the means of the |B| smallest and of the |B| largest
        ordered = np.sort(columns[:, boundary], axis=1)
        assert (got >= ordered[:, :num_seeds].mean(1) - 1e-5).all()
        assert (got <= ordered[:, -num_seeds:].mean(1) + 1e-5).all()


def test_refined_map_without_a_boundary_is_zero():
    assert not refined_map(np.ones((16, 16), np.float32), np.zeros((4, 4), np.float32), CUT).any()


def structured_records(grid, seed):
    """An image, a class map, and both modes' records of attention that follows a random picture with one object."""
    rng, (h, w) = np.random.default_rng(seed), grid
    y, x = np.mgrid[:h, :w] / np.array([h, w]).reshape(2, 1, 1)
    cy, cx, ry, rx = *rng.uniform(0.35, 0.65, 2), *rng.uniform(0.15, 0.3, 2)
    inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    features = np.stack([3 * inside, 4 * y, 4 * x, rng.normal(0, 0.2, grid)], -1)
    image = np.clip(255 * (0.3 + 0.4 * inside[..., None] + rng.normal(0, 0.03, (*grid, 3))), 0, 255).astype(np.uint8)
    class_map = (inside * rng.uniform(0.6, 1, grid) + rng.uniform(0, 0.25, grid)).astype(np.float32)
    records = [Record(grid, torch.ones(1, 1), mode) for mode in ("full", "evidence")]
    for halvings, factor in enumerate((1, 2, 4)):
        small = features.reshape(h // factor, factor, w // factor, factor, 4).mean((1, 3))
        f = torch.from_numpy(small.reshape(1, 1, -1, 4)).float()
        key = torch.cat([f, -(f**2).sum(-1, keepdim=True) / 2], -1)  # q.k: -|f_q - f_k|^2 / 2 and the query's own part
        query = torch.cat([f, torch.ones_like(f[..., :1])], -1)
        for record in records:
            record.add(self_layer(halvings), query, key, 6.0)
    return image, class_map, records


def test_masks_of_evidence_mode_agree_with_full_mode():
    """Mean IoU >= 0.98 on 64x64 grids of structured attention, r(p) weighed as in the paper."""
    config, ious = CutConfig(grid="attention"), []
    for seed in range(8):
        image, class_map, records = structured_records((64, 64), seed)
        masks = []
        for record in records:
            record.layer_maps = lambda sample, class_map=class_map: class_map[None]
            masks.append(cut(image, record.evidence(0, 1, config), config).mask)
        assert 0 < masks[0].mean() < 1
        ious.append((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())
    assert np.mean(ious) >= 0.98


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_queries_are_summed_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, 64, 8, generator=generator).to(dtype) for _ in range(2))
    record = Record((8, 8), torch.ones(1, 1), "full")
    for _ in range(5):
        record.add(self_layer(0), query, key, 8**-0.5)
    expected = torch.einsum("hnd,hmd->hnm", query[0].double(), key[0].double()).mul(8**-0.5).softmax(-1).mean(0)
    assert error(record.self_attention(0), expected.numpy()) <= 1e-5
