"""AttentionCut against its equations, written out slowly and apart from the code, and its invariants."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from models.config.cut import CutConfig
from models.cut import attentioncut as ac
from models.cut.seeds import boundary_cells, refined_map
from tests.models.cut.slow_cut import (
    config,
    iou,
    neighbours,
    random_case,
    scene_case,
    slow_energy,
    slow_weights,
)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    neighbourhood=st.sampled_from([4, 8]),
    strength=st.floats(0, 3),
    alpha=st.floats(0, 2.5),
    scale=st.sampled_from(["range", 0.0, 5.0]),
)
def test_the_cut_is_minimal_among_all_labelings(seed, shape, neighbourhood, strength, alpha, scale):
    image, class_map, attention = random_case(np.random.default_rng(seed), *shape)
    setting = config(
        neighbourhood=neighbourhood, alpha=alpha, affinity_scale=scale, grid="attention", **{"lambda": strength}
    )
    evidence = ac.evidence_of(class_map, attention, setting)
    solved = ac.cut(image, evidence, setting)
    weights = slow_weights(image, attention, setting) if min(shape) * max(shape) > 1 else {}
    labelings = (np.array(bits, dtype=bool).reshape(shape) for bits in itertools.product([0, 1], repeat=class_map.size))
    lowest = min(slow_energy(labels, solved.objectness, weights, strength) for labels in labelings)
    assert solved.energy == pytest.approx(lowest, rel=1e-4, abs=1e-4)
    assert slow_energy(solved.mask, solved.objectness, weights, strength) == pytest.approx(lowest, rel=1e-4, abs=1e-4)


def test_the_cut_is_minimal_on_four_by_four():
    image, class_map, attention = random_case(np.random.default_rng(5), 4, 4)
    setting = config(alpha=0.5, grid="attention", **{"lambda": 0.4})
    solved = ac.cut(image, ac.evidence_of(class_map, attention, setting), setting)
    labels = (np.arange(2**16)[:, None] >> np.arange(16)) & 1 == 1  # (65536, 16)
    chance = solved.objectness.ravel().astype(float)
    energy = -(labels * np.log(chance) + ~labels * np.log(1 - chance)).sum(1)
    for ((y, x), (v, u)), weight in slow_weights(image, attention, setting).items():
        energy += 0.4 * weight * (labels[:, 4 * y + x] != labels[:, 4 * v + u])
    assert solved.energy == pytest.approx(energy.min(), rel=1e-5)


@pytest.mark.parametrize("grid", ["full", "banded"])
def test_energy_at_image_resolution_recomputed(grid):
    """With one cell to a pixel nothing is interpolated, and the slow energy must be met on these grids too."""
    image, evidence, _ = scene_case(2)
    image = image[::8, ::8].copy()
    setting = config(alpha=0.7, grid=grid, **{"lambda": 0.6})
    solved = ac.cut(image, evidence, setting)
    attention = np.zeros((256, 256))
    index = np.arange(256).reshape(16, 16)
    for d, (dy, dx) in enumerate(ac.OFFSETS):
        for y, x in itertools.product(range(16 - dy), range(max(0, -dx), 16 - max(0, dx))):
            attention[index[y, x], index[y + dy, x + dx]] = 2 * evidence.affinities[d, y, x]
    weights = slow_weights(image, attention, setting)
    assert solved.energy == pytest.approx(slow_energy(solved.mask, solved.objectness, weights, 0.6), rel=1e-4)


def test_coarse_lambda_is_scaled_by_the_ratio_of_the_grids():
    image, class_map, attention = random_case(np.random.default_rng(1), 5, 6)
    large = np.repeat(np.repeat(image, 4, 0), 4, 1)
    setting = config(grid="attention", alpha=0.3, **{"lambda": 2.0})
    evidence = ac.evidence_of(class_map, attention, setting)
    solved = ac.cut(large, evidence, setting)
    weights = slow_weights(image, attention, setting)
    assert solved.energy == pytest.approx(slow_energy(solved.mask[::4, ::4], solved.objectness, weights, 0.5), rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), neighbourhood=st.sampled_from([4, 8]))
def test_between_neighbours_the_geodesic_is_the_direct_edge(seed, neighbourhood):
    image = np.random.default_rng(seed).integers(0, 4, (5, 6, 3)).astype(float)
    length = np.zeros((30, 30))
    for (y, x), (v, u) in neighbours(5, 6, neighbourhood):
        length[6 * y + x, 6 * v + u] = np.linalg.norm(image[y, x] - image[v, u]) or 1e-12  # 0 would mean no edge
    shortest = dijkstra(csr_array(length), directed=False)
    edge = length > 0
    np.testing.assert_allclose(shortest[edge], length[edge], atol=1e-9)


def test_objectness_follows_equations_3_and_4():
    _, class_map, attention = random_case(np.random.default_rng(2), 6, 7)
    setting = config(num_seeds=1000, alpha=0.8, tau=0.4)
    scaled = (class_map - class_map.min()) / (class_map.max() - class_map.min())
    region = scaled > 0.4
    boundary = [
        y * 7 + x
        for y, x in itertools.product(range(6), range(7))
        if region[y, x]
        and any(
            0 <= v < 6 and 0 <= u < 7 and not region[v, u] for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        )
    ]
    both = [[(attention[p, b] + attention[b, p]) / 2 for b in boundary] for p in range(42)]
    refined = np.mean(both, axis=1).reshape(6, 7)
    refined = (refined - refined.min()) / (refined.max() - refined.min())
    raw = scaled + 0.8 * refined
    objectness, num_clamped = ac.objectness_of(ac.evidence_of(class_map, attention, setting), setting)
    np.testing.assert_allclose(objectness, np.clip(raw, 1e-4, 1 - 1e-4), atol=1e-5)
    assert num_clamped == ((raw > 1 - 1e-4) | (raw < 1e-4)).sum() > 0
    mean = setting.model_copy(update={"objectness": "mean"})
    objectness, num_clamped = ac.objectness_of(ac.evidence_of(class_map, attention, mean), mean)
    np.testing.assert_allclose(objectness, np.clip(raw / 1.8, 1e-4, 1 - 1e-4), atol=1e-5)
    assert num_clamped <= 2  # nothing saturates, but where both maps have their least or both their greatest value


def test_seeds_are_a_repeatable_subset_of_the_boundary():
    """Columns that name their cell: r is then the mean of the seeds' own numbers."""
    class_map = np.zeros((16, 16))
    class_map[3:13, 3:13] = 1
    boundary = boundary_cells(class_map, 0.16)
    assert len(boundary) == 36
    assert len(boundary_cells(np.zeros((4, 4)), 0.16)) == len(boundary_cells(np.ones((4, 4)), 0.16)) == 0
    columns = np.eye(256, dtype=np.float32)
    some = refined_map(columns, class_map, CutConfig(num_seeds=9)).ravel()
    assert set(np.flatnonzero(some)) < set(boundary) and np.count_nonzero(some) == 9
    np.testing.assert_array_equal(some, refined_map(columns, class_map, CutConfig(num_seeds=9)).ravel())
    assert set(np.flatnonzero(refined_map(columns, class_map, CutConfig(num_seeds=99)))) == set(boundary)


@pytest.mark.parametrize("strength", [0.1, 2.0, 8.0])
def test_a_band_over_everything_gives_the_full_cut(strength):
    for index in range(4):
        image, evidence, _ = scene_case(index)
        values = {"alpha": 0.5, "lambda": strength}
        full = ac.cut(image, evidence, config(grid="full", **values))
        banded = ac.cut(image, evidence, config(grid="banded", band=16, **values))
        assert banded.energy == pytest.approx(full.energy, rel=1e-5)
        assert iou(banded.mask, full.mask) > 0.9999


def test_banded_is_close_to_full_on_scenes():
    likeness, truth = [], []
    for index in range(12):
        image, evidence, mask = scene_case(index)
        full, banded = (ac.cut(image, evidence, config(grid=grid, alpha=1.0)) for grid in ("full", "banded"))
        assert banded.energy >= full.energy - 1e-3 * abs(full.energy)
        likeness.append(iou(banded.mask, full.mask))
        truth.append(iou(banded.mask, mask))
    assert np.mean(likeness) >= 0.99
    assert np.mean(truth) >= 0.8


@pytest.mark.parametrize("grid", ["attention", "banded", "full"])
def test_transposed_inputs_give_the_transposed_cut(grid):
    """Up to ties: the transposed labels must cost what the labels cost."""
    image, class_map, attention = random_case(np.random.default_rng(7), 6, 9, factor=5)
    turned = attention.reshape(6, 9, 6, 9).transpose(1, 0, 3, 2).reshape(54, 54)
    setting = config(grid=grid, num_seeds=1000, alpha=0.4, **{"lambda": 0.7})
    straight = ac.cut(image, ac.evidence_of(class_map, attention, setting), setting)
    other = ac.cut(image.transpose(1, 0, 2), ac.evidence_of(class_map.T, turned, setting), setting)
    assert other.energy == pytest.approx(straight.energy, rel=1e-5)
    assert iou(other.mask.T, straight.mask) > 0.999
    assert other.num_clamped == straight.num_clamped
    assert other.uncertainty == pytest.approx(straight.uncertainty, rel=1e-5)


@pytest.mark.parametrize("grid", ["attention", "banded", "full"])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_maps_are_all_background(grid, level):
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    attention = np.full((30, 30), level / 30)
    solved = ac.cut(image, ac.evidence_of(np.full((5, 6), level), attention, config()), config(grid=grid))
    assert not solved.mask.any() and solved.num_clamped == 30 and np.isfinite(solved.energy)


@pytest.mark.parametrize("grid", ["attention", "banded", "full"])
def test_a_coarse_cut_of_all_foreground(grid):
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    class_map = np.ones((5, 6), dtype=np.float32)
    class_map[2, 2] = 0.9  # one cell of background, smoothed away
    evidence = ac.Evidence(class_map, class_map, np.ones((4, 5, 6), np.float32))
    solved = ac.cut(image, evidence, config(grid=grid, **{"lambda": 100.0}))
    assert solved.mask.all() and np.isfinite(solved.energy)


@pytest.mark.parametrize("grid", ["attention", "banded", "full"])
@pytest.mark.parametrize("cell", [(3, 4), (0, 0), (7, 9)])
def test_an_object_of_one_cell(grid, cell):
    class_map = np.zeros((8, 10))
    class_map[cell] = 1
    image = np.full((64, 80, 3), 40, dtype=np.uint8)
    image[8 * cell[0] : 8 * cell[0] + 8, 8 * cell[1] : 8 * cell[1] + 8] = 220
    attention = np.eye(80) + 0.01
    mask = ac.attentioncut(image, class_map, attention, CutConfig(grid=grid, thresholds="paper"))
    truth = image[..., 0] > 100
    assert iou(mask, truth) > 0.6


@pytest.mark.parametrize("grid", ["attention", "banded", "full"])
@pytest.mark.parametrize("size, cells", [((50, 37), (7, 5)), ((33, 64), (16, 8)), ((9, 40), (1, 5)), ((8, 8), (8, 8))])
def test_any_shape_of_image_and_grid(grid, size, cells):
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    count = cells[0] * cells[1]
    setting = CutConfig.model_validate({"grid": grid})
    mask = ac.attentioncut(image, rng.random(cells), rng.random((count, count)), setting)
    assert mask.shape == size and mask.dtype == bool


def test_the_scale_of_the_attention_does_not_matter():
    image, class_map, attention = random_case(np.random.default_rng(9), 8, 8, factor=4)
    mask = ac.attentioncut(image, class_map, attention, CutConfig())
    np.testing.assert_array_equal(mask, ac.attentioncut(image, class_map / 4, attention / 256, CutConfig()))
