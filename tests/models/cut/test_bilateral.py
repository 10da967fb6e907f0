"""The bilateral solver against its equations and its invariants."""

import itertools

import numpy as np
import pytest

from models.cut.bilateral import bilateral_grid, bistochastic, neighbour_blur, solve


def picture(seed=0, height=24, width=30):
    """Two noisy halves, dark and light."""
    image = np.random.default_rng(seed).normal(60, 6, (height, width, 3))
    image[:, width // 2 :] += 120
    return np.clip(image, 0, 255).astype(np.uint8)


def test_pixels_of_a_vertex_share_a_bin_and_bins_are_distinct():
    vertex, bins = bilateral_grid(picture(), 8, 16, 8)
    assert vertex.shape == (24 * 30,) and set(vertex) == set(range(len(bins)))
    assert len({tuple(b) for b in bins}) == len(bins)


def test_the_blur_joins_bins_one_step_apart():
    _, bins = bilateral_grid(picture(), 8, 16, 8)
    blur = neighbour_blur(bins).toarray()
    for i, j in itertools.product(range(len(bins)), repeat=2):
        apart = np.abs(bins[i] - bins[j]).sum()
        assert blur[i, j] == (10 if apart == 0 else 1 if apart == 1 else 0)


def test_the_smoother_leaves_constants_and_its_rows_sum_to_the_counts():
    vertex, bins = bilateral_grid(picture(), 8, 16, 8)
    counts = np.bincount(vertex).astype(float)
    blur = neighbour_blur(bins)
    scale, mass = bistochastic(blur, counts, 50)
    np.testing.assert_allclose(scale * (blur @ scale), mass)
    np.testing.assert_allclose(mass, counts, rtol=1e-3)


def test_the_solution_solves_the_dense_system():
    image, target = picture(3), np.random.default_rng(1).random((24, 30))
    vertex, bins = bilateral_grid(image, 16, 16, 8)
    splat = np.eye(len(bins))[vertex].T  # (V, P)
    blur = neighbour_blur(bins).toarray()
    scale, mass = bistochastic(neighbour_blur(bins), splat.sum(1))
    system = 256 * (np.diag(mass) - np.diag(scale) @ blur @ np.diag(scale)) + np.diag(0.999 * splat.sum(1))
    expected = np.linalg.solve(system, splat @ (0.999 * target.ravel()))[vertex].reshape(24, 30)
    found = solve(image, target, max_iterations=2000, tolerance=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0, 0.3])
def test_a_constant_stays(level):
    np.testing.assert_allclose(solve(picture(), np.full((24, 30), level)), level, atol=1e-3)


def test_noise_is_smoothed_within_halves_and_not_across():
    truth = np.zeros((24, 30), dtype=bool)
    truth[:, 15:] = True
    flipped = truth ^ (np.random.default_rng(2).random(truth.shape) < 0.15)
    np.testing.assert_array_equal(solve(picture(), flipped.astype(float)) > 0.5, truth)


def test_many_bins_on_an_axis():
    image = np.zeros((4, 700, 3), dtype=np.uint8)
    target = np.zeros((4, 700))
    target[:, 350:] = 1
    smooth = solve(image, target, spatial=1)
    assert smooth[:, :200].max() < 0.5 < smooth[:, 500:].min()
