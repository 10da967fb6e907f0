"""Outlines of known shapes, what normalisations are invariant under, and the Chamfer distance against brute force."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.shapes import chamfer, outline, pair_distances, polygon, polygon_length

NORMALISATIONS = ("joint", "longest-side", "per-axis")
SEEDS = st.integers(0, 10_000)


def blob(seed: int, side: int = 120) -> np.ndarray:
    """A connected shape with a crooked outline, (side, side) bool, away from the border."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = rng.uniform(side / 10, side / 3, 24)
    points = side / 2 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return cv2.fillPoly(np.zeros((side, side), np.uint8), [points.astype(np.int32)], 1).astype(bool)


def square(x: int, y: int, width: int, height: int, side: int = 100) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def measured(mask: np.ndarray, normalisation: str) -> tuple[int, float]:
    vertices = polygon(outline(mask), normalisation)
    return len(vertices), polygon_length(vertices)


def polygons(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((int(rng.integers(1, 30)), 2)) for _ in range(count)]


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_a_square_has_four_vertices_and_length_four(normalisation):
    assert measured(square(20, 20, 50, 50), normalisation) == (4, pytest.approx(4))


def test_the_normalisations_differ_as_stated():
    """An outline runs through pixel centres: 41 x 21 pixels are 40 x 20 long. x from 10 to 50, y from 30 to 50."""
    wide = square(10, 30, 41, 21)
    assert measured(wide, "per-axis") == (4, pytest.approx(4))
    assert measured(wide, "longest-side") == (4, pytest.approx(3))
    assert measured(wide, "joint") == (4, pytest.approx(3))  # from 10 to 50 of x and y together
    far = square(0, 60, 21, 21)  # x from 0 to 20, y from 60 to 80: a quarter of the range of both
    assert measured(far, "joint") == (4, pytest.approx(1))
    assert measured(far, "longest-side") == (4, pytest.approx(4))


def test_a_disc_is_pi_long_and_a_triangle_has_three_vertices():
    disc = cv2.circle(np.zeros((900, 900), np.uint8), (450, 450), 400, 1, -1)
    vertices, length = measured(disc, "per-axis")
    assert 12 < vertices < 30 and length == pytest.approx(np.pi, rel=0.02)
    triangle = cv2.fillPoly(np.zeros((300, 300), np.uint8), [np.array([[20, 20], [280, 20], [20, 280]])], 1)
    assert measured(triangle, "per-axis") == (3, pytest.approx(2 + 2**0.5, rel=0.01))


@given(SEEDS, st.integers(-15, 15), st.integers(-15, 15))
def test_shape_does_not_depend_on_the_place(seed, right, down):
    mask = blob(seed)
    moved = np.roll(mask, (down, right), (0, 1))
    for normalisation in ("longest-side", "per-axis"):
        np.testing.assert_array_equal(*(polygon(outline(each), normalisation) for each in (mask, moved)))
    along = np.roll(mask, (down, down), (0, 1))  # joint: along the diagonal only
    np.testing.assert_array_equal(*(polygon(outline(each)) for each in (mask, along)))


@given(SEEDS, st.sampled_from(NORMALISATIONS), st.sampled_from([2, 4, 8]))
def test_shape_does_not_depend_on_the_scale(seed, normalisation, scale):
    """Powers of two, so that nothing is rounded."""
    contour = outline(blob(seed))
    np.testing.assert_array_equal(*(polygon(each, normalisation) for each in (contour, contour * scale)))


@given(SEEDS)
def test_simplifying_keeps_near_the_outline(seed):
    """Within twice epsilon: OpenCV drops vertices of nearly straight runs after Douglas-Peucker."""
    contour = outline(blob(seed))
    span = np.ptp(contour)
    simple = (polygon(contour) * span + contour.min()).astype(np.float32)
    for x, y in contour.tolist():
        assert abs(cv2.pointPolygonTest(simple.reshape(-1, 1, 2), (x, y), True)) <= 0.02 * span
    assert len(simple) <= len(contour)


def test_the_largest_outline_is_taken_and_holes_are_not():
    mask = square(50, 50, 40, 40) | square(5, 5, 10, 10)
    mask[60:70, 60:70] = False
    np.testing.assert_array_equal(np.sort(outline(mask), axis=0)[[0, -1]], [[50, 50], [89, 89]])


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_smallest_masks(normalisation):
    assert outline(np.zeros((5, 5), bool)) is None
    assert outline(np.zeros((1, 1), bool)) is None
    assert measured(square(3, 7, 1, 1), normalisation) == (1, 0)
    assert measured(square(0, 0, 1, 1, side=1), normalisation) == (1, 0)
    vertices, length = measured(square(4, 4, 2, 1), normalisation)
    assert vertices == 2 and length == pytest.approx(2)  # there and back
    assert measured(np.ones((4, 4), bool), normalisation) == (4, pytest.approx(4))


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="expected one of joint, longest-side, per-axis, got 'both'"):
        polygon(np.zeros((3, 2), np.int32), "both")


@given(SEEDS)
def test_chamfer_is_equation_12(seed):
    one, other = polygons(2, seed)
    total = 0.0
    for these, those in ((one, other), (other, one)):
        for p in these:
            total += min((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for q in those)
    assert chamfer(one, other) == pytest.approx(total) == pytest.approx(chamfer(other, one))
    assert chamfer(one, one) == 0


def test_few_polygons_give_all_pairs():
    shapes = polygons(5)
    brute = [chamfer(shapes[i], shapes[j]) for i in range(5) for j in range(i + 1, 5)]
    np.testing.assert_array_equal(np.sort(pair_distances(shapes, 10, 0)), np.sort(brute))
    assert pair_distances(shapes[:1], 10, 0).size == pair_distances([], 10, 0).size == 0


def test_sampled_pairs_agree_with_all_within_their_standard_error():
    shapes = polygons(60)
    full = pair_distances(shapes, 60 * 59 // 2, 0).mean()
    scores = []
    for seed in range(30):
        drawn = pair_distances(shapes, 300, seed)
        scores.append((drawn.mean() - full) / (drawn.std(ddof=1) / 300**0.5))
    assert len(drawn) == 300 and abs(np.mean(scores)) < 4 / 30**0.5 and 0.6 < np.std(scores) < 1.5
    np.testing.assert_array_equal(pair_distances(shapes, 300, 1), pair_distances(shapes, 300, 1))
