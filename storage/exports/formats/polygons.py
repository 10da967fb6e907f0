"""Masks as polygons that reproduce the same pixels. Knows nothing of formats."""

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay
from skimage.measure import find_contours

INSET = 0.05  # pixels; see `drawable`


def polygons(mask: np.ndarray) -> list[np.ndarray]:
    """One polygon (n, 2) of x, y in pixels for each component of a mask (H, W) bool, its holes joined to it.

    Pixel (i, j) covers [j, j + 1] x [i, i + 1]. The lines pass midway between the centres of pixels inside and
    outside, so a pixel belongs to the mask if its centre is inside by the even-odd rule. This is exact, except for
    readers that also fill the pixels a line touches. Components are 4-connected.
    """
    labels, _ = ndimage.label(mask)
    outlines = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        rings = _rings(labels[rows, columns] == label)
        outlines.append(_thinned(joined([ring + (columns.start, rows.start) for ring in rings])))
    return outlines


def drawable(mask: np.ndarray) -> np.ndarray:
    """All parts and holes of a mask (H, W) bool as one polygon (n, 2) of x, y in pixels; (0, 2) if it is empty.

    As exact by pixels' centres as `polygons`, and for readers that cut coordinates to whole pixels and fill what a line
    touches, as Ultralytics does with OpenCV's fillPoly, also at whole multiples of the size: lines follow the pixels'
    sides, INSET within the mask, so that none is cut to a pixel outside. All that such readers add are the joins.
    """
    rings = [_drawable(ring, mask) for ring in _rings(mask)]
    return _thinned(joined(rings)) if rings else np.zeros((0, 2))


def joined(rings: list[np.ndarray]) -> np.ndarray:
    """Rings (n, 2) of x, y as one polygon: lines lead between nearest points of two rings, there and back.

    The lines are as short as they can be in sum (a minimum spanning tree), between points that the rings have.
    """
    if len(rings) == 1:
        return rings[0]
    points = np.concatenate(rings)
    starts = np.cumsum([0, *map(len, rings)])
    around = np.arange(1, len(points) + 1)
    around[starts[1:] - 1] = starts[:-1]
    following, origins = around.tolist(), list(range(len(points)))
    for a, b in _bridges(points, np.repeat(np.arange(len(rings)), np.diff(starts))).tolist():
        # From a to a copy of b, around b's ring to b itself, and back to a copy of a.
        after_a, after_b, copies = following[a], following[b], len(following)
        following += [after_a, after_b]
        origins += [a, b]
        following[a], following[b] = copies + 1, copies
    tour = [0]
    while (point := following[tour[-1]]) != 0:
        tour.append(point)
    return points[np.array(origins)[tour]]


def has_holes(mask: np.ndarray) -> bool:
    """Whether background is enclosed by the mask (H, W) bool."""
    return bool((ndimage.binary_fill_holes(mask, np.ones((3, 3))) != mask).any())


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """Outlines of a mask's parts and of their holes, (n, 2) of x, y: the middles of the pixels' sides they cross."""
    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5, fully_connected="low")
    # Row and column of a padded pixel's centre become x and y of its place in the picture.
    return [contour[:-1, ::-1] - 0.5 for contour in contours]


def _bridges(points: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The shortest lines that connect all rings, (rings - 1, 2) indices of points (n, 2); owners: ring of each, (n,).

    The shortest line between two sets of points is an edge of their Delaunay triangulation, so no other is looked at.
    """
    mesh = Delaunay(points)
    edges = np.concatenate([mesh.simplices[:, [0, 1]], mesh.simplices[:, [1, 2]], mesh.simplices[:, [2, 0]]])
    edges = np.concatenate([edges, mesh.coplanar[:, [0, 2]]])  # points at the place of another
    edges = edges[owners[edges[:, 0]] != owners[edges[:, 1]]]
    lengths = np.hypot(*(points[edges[:, 0]] - points[edges[:, 1]]).T)
    edges = edges[np.argsort(lengths, kind="stable")]
    pairs, shortest = np.unique(np.sort(owners[edges], axis=1), axis=0, return_index=True)
    # Weights are ranks, from 1 because a graph's zeros are no edges: the tree then says which edge it took.
    graph = coo_array((1 + shortest, pairs.T), shape=(owners.max() + 1,) * 2)
    return np.asarray(edges[minimum_spanning_tree(graph.tocsr()).data.astype(int) - 1])


def _thinned(polygon: np.ndarray) -> np.ndarray:
    """Without the points (n, 2) at which a line goes straight on; exact along the pixels' sides."""
    before, after = polygon - np.roll(polygon, 1, axis=0), np.roll(polygon, -1, axis=0) - polygon
    bends = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(polygon[bends | ((before * after).sum(axis=1) < 0)])  # it may also turn back


def _drawable(ring: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A ring (n, 2) of middles of pixels' sides with the corners between them, all INSET within the mask's pixels."""
    upright = ring[:, 0] == np.floor(ring[:, 0])  # the side between two pixels of a row
    column, row = np.floor(ring.T).astype(int) + 1
    before = np.pad(mask, 1)[row - ~upright, column - upright]  # whether the pixel to the left or above is the mask's
    steps = np.where(before, -INSET, INSET)
    points = ring + np.stack([steps * upright, steps * ~upright], axis=1)
    following = np.roll(points, -1, axis=0)
    turns = upright != np.roll(upright, -1)
    corners = np.where(np.stack([upright, ~upright], axis=1), points, following)  # x of one side, y of the other
    both = np.stack([points, corners], axis=1).reshape(-1, 2)
    return both[np.stack([np.ones_like(turns), turns], axis=1).ravel()]
