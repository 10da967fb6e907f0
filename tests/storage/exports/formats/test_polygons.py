"""Polygons give back the very mask they were made of, to readers that decide by pixels' centres."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from scipy import ndimage
from scipy.spatial.distance import cdist

from storage.exports.formats.polygons import drawable, has_holes, joined, polygons

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def drawn(parts: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The union of polygons as pycocotools draws them, (H, W) bool."""
    coded = coco_mask.frPyObjects([part.ravel().tolist() for part in parts], *size)
    return coco_mask.decode(coco_mask.merge(coded)).astype(bool)


@given(MASKS)
def test_masks_come_back(mask):
    parts = polygons(mask)
    assert len(parts) == ndimage.label(mask)[1]
    if parts:
        np.testing.assert_array_equal(drawn(parts, mask.shape), mask)
        np.testing.assert_array_equal(drawn([joined(parts)], mask.shape), mask)
        np.testing.assert_array_equal(drawn([drawable(mask)], mask.shape), mask)
        assert all(part.min() >= 0 and (part.max(axis=0) <= mask.shape[::-1]).all() for part in parts)


@given(MASKS)
def test_a_hole_is_background_that_no_path_leads_out_of(mask):
    outside = ndimage.label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))[1]
    assert has_holes(mask) == (outside > 1)


@given(MASKS)
def test_opencv_adds_at_most_the_pixels_around(mask):
    """As Ultralytics draws labels; of one part without a hole, since it also draws the lines that join others."""
    cv2 = pytest.importorskip("cv2")
    part = ndimage.binary_fill_holes(ndimage.label(mask)[0] == 1)
    for polygon in polygons(part):
        filled = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [polygon.astype(np.int32)], 1) > 0
        assert not (filled & ~ndimage.binary_dilation(part, np.ones((3, 3)))).any()
        assert not (part & ~filled).any()


def filled(polygon: np.ndarray, size: tuple[int, int], scale: int) -> np.ndarray:
    """As Ultralytics draws a label at a multiple of the image's size: cut to whole pixels, with what the lines touch.

    It puts more points on the lines first.
    """
    cv2 = pytest.importorskip("cv2")
    steps = np.arange(len(polygon), step=0.1)
    closed = np.concatenate([polygon, polygon[:1]])
    points = np.stack([np.interp(steps, np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)], axis=1)
    drawn_on = np.zeros((scale * size[0], scale * size[1]), np.uint8)
    return cv2.fillPoly(drawn_on, [(scale * points).astype(np.int32)], 1) > 0


@given(MASKS)
def test_readers_that_fill_what_lines_touch_lose_nothing_and_add_the_joins_alone(mask):
    if not mask.any():
        assert drawable(mask).shape == (0, 2)
        return
    one_ring = ndimage.binary_fill_holes(ndimage.label(mask)[0] == 1, np.ones((3, 3)))
    for scale in (1, 4, 5):
        larger = np.ones((scale, scale), bool)
        assert not (np.kron(mask, larger) & ~filled(drawable(mask), mask.shape, scale)).any()
        np.testing.assert_array_equal(filled(drawable(one_ring), mask.shape, scale), np.kron(one_ring, larger))


@given(MASKS)
def test_joins_are_as_short_as_they_can_be(mask):
    """A join is passed there and back, so the whole is longer than its parts by twice the joins."""
    if parts := polygons(mask):
        expected = sum(map(length, parts)) + 2 * shortest_joins(parts)
        assert length(joined(parts)) == pytest.approx(expected)


def length(polygon: np.ndarray) -> float:
    return float(np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T).sum())


def shortest_joins(parts: list[np.ndarray]) -> float:
    """Prim's minimum spanning tree over the distances between all points of all parts."""
    lengths = np.array([[cdist(a, b).min() for b in parts] for a in parts])
    total, known, missing = 0.0, [0], set(range(1, len(parts)))
    while missing:
        near = min(missing, key=lambda part: lengths[known, part].min())
        total += lengths[known, near].min()
        known.append(near)
        missing.remove(near)
    return total


def test_many_rings_are_joined_quickly():
    """A mask of noise at 128 pixels has a thousand; a search among all pairs would take minutes."""
    mask = np.random.default_rng(0).random((128, 128)) > 0.5
    before = time.process_time()
    polygon = drawable(mask)
    assert time.process_time() - before < 20
    np.testing.assert_array_equal(drawn([polygon], mask.shape), mask)


def test_a_large_outline_comes_back_and_has_few_points():
    rows, columns = np.mgrid[:600, :800]
    ring = abs(np.hypot(rows - 300, columns - 400) - 200) < 60
    (polygon,) = polygons(ring)
    np.testing.assert_array_equal(drawn([polygon], ring.shape), ring)
    assert len(polygon) < 0.6 * 2 * np.pi * (140 + 260)
