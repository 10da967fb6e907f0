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


def test_bins_stand_at_multiples_of_their_width():
    """Against the definition, pixel by pixel: floor(YUV / width), with grey at chroma 128."""
    image = picture(4)
    vertex, bins = bilateral_grid(image, 8, 16, 8)
    expected = []
    for (y, x), (r, g, b) in zip(np.ndindex(24, 30), image.reshape(-1, 3).tolist(), strict=True):
        luma = 0.299 * r + 0.587 * g + 0.114 * b
        blue = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b
        red = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b
        expected.append([x / 8, y / 8, luma / 16, blue / 8, red / 8])
    exact = np.floor(expected)
    colour = np.array(expected)[:, 2:]
    sure = (np.abs(colour - colour.round()) > 1e-9).all(axis=1)
    assert sure.mean() > 0.9  # the others' colour lies on a bin's edge, up to rounding
    np.testing.assert_array_equal(bins[vertex][sure], (exact - exact.min(axis=0))[sure])


@pytest.mark.parametrize("seed", range(3))
def test_one_black_pixel_moves_no_bin_of_the_others(seed):
    image, target = picture(seed, 48, 60), (np.random.default_rng(seed).random((48, 60)) < 0.5).astype(float)
    spoilt = image.copy()
    spoilt[0, 0] = 0
    one, _ = bilateral_grid(image, 16, 16, 8)
    other, _ = bilateral_grid(spoilt, 16, 16, 8)
    alike = [len({tuple(pair) for pair in zip(a[1:], b[1:], strict=True)}) for a, b in ((one, one), (one, other))]
    assert alike[0] == alike[1]  # the other pixels are grouped as before
    np.testing.assert_allclose(solve(image, target)[8:, 8:], solve(spoilt, target)[8:, 8:], atol=0.02)


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
