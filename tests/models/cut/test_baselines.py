"""The baselines' masks against what each method is, written out apart from the code, and against exact blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cut import baselines as mb
from models.cut.graph import enlarge, repeat

SIDE = 8
SIZE = (4 * SIDE, 4 * SIDE)
ON_CELLS = {"kmeans": mb.kmeans, "ncut": mb.ncut, "attention_power": mb.attention_power}
needs_crf = pytest.mark.skipif(not mb.has_dense_crf(), reason="pydensecrf2 is not installed")


def random_attention(rng: np.random.Generator, cells: int = SIDE**2) -> np.ndarray:
    """Symmetrised rows of a softmax, (N, N)."""
    rows = rng.random((cells, cells)) ** 3
    rows /= rows.sum(axis=1, keepdims=True)
    return (rows + rows.T) / 2


def block_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A_c noisy on a square object, A_s that never leaves the object or the ground, and the object's cells."""
    truth = np.zeros((SIDE, SIDE), dtype=bool)
    truth[2:6, 1:5] = True
    same = np.equal.outer(truth.ravel(), truth.ravel())
    class_map = 0.3 * truth + rng.random(truth.shape)
    return class_map, same / same.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ON_CELLS)
def test_separate_blocks_are_found_exactly(method: str, seed: int) -> None:
    class_map, attention, truth = block_case(np.random.default_rng(seed))
    assert class_map[truth].mean() > class_map[~truth].mean()
    found = ON_CELLS[method](class_map, attention, truth.shape)
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("method", ON_CELLS)
def test_the_object_is_the_side_where_the_class_is(method: str) -> None:
    class_map, attention, truth = block_case(np.random.default_rng(0))
    np.testing.assert_array_equal(ON_CELLS[method](class_map.max() - class_map, attention, truth.shape), ~truth)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(ON_CELLS)))
def test_neither_the_scales_nor_the_order_of_the_cells_matter(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    class_map, attention, find = rng.random((SIDE, SIDE)), random_attention(rng), ON_CELLS[method]
    found = find(class_map, attention, class_map.shape)
    np.testing.assert_array_equal(find(8 * class_map, 0.25 * attention, class_map.shape), found)
    order = rng.permutation(SIDE**2)
    mixed = find(class_map.ravel()[order].reshape(class_map.shape), attention[np.ix_(order, order)], class_map.shape)
    np.testing.assert_array_equal(mixed.ravel(), found.ravel()[order])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ncut_splits_the_second_solution_of_the_generalised_problem(seed: int) -> None:
    rng = np.random.default_rng(seed)
    class_map, attention = rng.random((SIDE, SIDE)), random_attention(rng)
    cells = SIDE**2
    weights = np.array([[1.0 if a > attention.mean() else 1e-5 for a in row] for row in attention])
    degree = weights.sum(axis=0)
    values, vectors = np.linalg.eig(np.diag(1 / degree) @ (np.diag(degree) - weights))
    second = np.real(vectors[:, np.argsort(np.real(values))[1]])
    assert abs(second @ degree) < 1e-9 * cells  # as every solution but the constant one
    side = second > second.mean()
    if class_map.ravel()[side].mean() < class_map.ravel()[~side].mean():
        second, side = -second, ~side
    np.testing.assert_array_equal(mb.ncut(class_map, attention, class_map.shape).ravel(), side)
    soft = enlarge(second.reshape(class_map.shape), SIZE)
    np.testing.assert_array_equal(mb.ncut(class_map, attention, SIZE), soft > second.mean())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_attention_power_is_the_power_of_the_row_stochastic_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    class_map, attention = rng.random((SIDE, SIDE)), random_attention(rng)
    stochastic = attention / attention.sum(axis=1, keepdims=True)
    values = np.linalg.matrix_power(stochastic, 4) @ class_map.ravel()
    soft = ((values - values.min()) / np.ptp(values)).reshape(class_map.shape)
    expected = enlarge(soft, SIZE)
    found = mb.attention_power(class_map, attention, SIZE)
    sure = np.abs(expected - 0.5) > 1e-5  # the code's soft map is float32
    np.testing.assert_array_equal(found[sure], expected[sure] > 0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_kmeans_ends_where_no_row_is_nearer_to_the_other_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    class_map, attention = rng.random((SIDE, SIDE)), random_attention(rng)
    side = mb.kmeans(class_map, attention, class_map.shape).ravel()
    means = np.stack([attention[~side].mean(axis=0), attention[side].mean(axis=0)])
    distances = ((attention[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1) == 1, side)
    assert class_map.ravel()[side].mean() >= class_map.ravel()[~side].mean()
    found = mb.kmeans(class_map, attention, SIZE)
    np.testing.assert_array_equal(found, repeat(side.reshape(class_map.shape), SIZE))


@needs_crf
def test_dense_crf_moves_a_blurred_outline_to_the_colour_step() -> None:
    truth = np.zeros((64, 64), dtype=bool)
    truth[16:44, 20:52] = True
    image = np.where(truth[..., None], (200, 60, 40), (40, 90, 160)).astype(np.uint8)
    class_map = truth.reshape(8, 8, 8, 8).mean((1, 3))
    blurred = enlarge(class_map, truth.shape) > 0.5
    assert (blurred != truth).any()
    np.testing.assert_array_equal(mb.dense_crf(5 * class_map, image), truth)


def test_without_its_library_dense_crf_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mb, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pydensecrf2, which is not installed; pip install -e '\.\[crf\]'"):
        mb.dense_crf(np.ones((2, 2)), np.zeros((4, 4, 3), np.uint8))
