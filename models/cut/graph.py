"""The graph of AttentionCut: pairwise weights between neighbours and the minimum cut, on a whole grid or in a band.

Knows nothing of attention, seeds or configuration: unary costs and affinities in, labels out.
Letters: (H, W) the grid that is cut, (h, w) the attention grid, P pixels, E edges; offsets are (dy, dx).

It minimises E(M) = sum_p Phi(p | M) + sum_{M(p) != M(q)} weight(p, q) (eq. 6, lambda inside the weights) by Boykov and
Kolmogorov's algorithm, which finds the same minimum as Ford-Fulkerson's. Each neighbouring pair is one edge of weight
lambda * Psi; diagonal edges count like the others, because eq. 6 has no factor for length.
"""

from functools import lru_cache

import maxflow
import numpy as np
from scipy import sparse
from scipy.ndimage import binary_dilation

OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, down, down-right, down-left

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]  # flat indices p and q (E,), weights (E,)


def pair_views(grid: np.ndarray, offset: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Views of (H, W, ...) holding p and q = p + offset for every pair inside the grid: (H - dy, W - |dx|, ...)."""
    dy, dx = offset
    height, width = grid.shape[:2]
    p = grid[: height - dy, max(0, -dx) : width - max(0, dx)]
    q = grid[dy:, max(0, dx) : width + min(0, dx)]
    return p, q


def coherence(affinity: np.ndarray, colour_p: np.ndarray, colour_q: np.ndarray, geodesic_scale: float) -> np.ndarray:
    """Inner coherence Psi = A_s + exp(-D) (eq. 5) of edges: affinity (...), colours (..., 3) in units of the scale.

    D is the geodesic distance of colour, a sum of norms of colour steps along the shortest path. Between neighbours
    the direct edge is the shortest path, by the triangle inequality, so D = geodesic_scale * |I_p - I_q|.
    """
    step = np.subtract(colour_p, colour_q, dtype=np.float32)
    psi = np.sqrt(np.einsum("...c,...c->...", step, step))
    psi *= -geodesic_scale
    np.exp(psi, out=psi)
    psi += affinity
    return psi


def grid_weights(image: np.ndarray, affinities: np.ndarray, geodesic_scale: float) -> np.ndarray:
    """Psi of every edge of a grid: image (H, W, 3) float32 in [0, 1], affinities (D, H, W) -> (D, H, W), 0 outside."""
    psi = np.zeros_like(affinities)
    for d, offset in enumerate(OFFSETS[: len(affinities)]):
        target, _ = pair_views(psi[d], offset)
        target[:] = coherence(pair_views(affinities[d], offset)[0], *pair_views(image, offset), geodesic_scale)
    return psi


def cut_grid(foreground: np.ndarray, background: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Minimum cut of a whole grid: costs (H, W) of either label, weights (D, H, W) -> labels (H, W) bool, energy."""
    graph = maxflow.GraphFloat()
    nodes = graph.add_grid_nodes(foreground.shape)
    graph.add_grid_tedges(nodes, foreground, background)  # a node on the sink's side pays its source edge
    for weight, (dy, dx) in zip(weights, OFFSETS, strict=False):
        structure = np.zeros((3, 3))
        structure[1 + dy, 1 + dx] = 1
        graph.add_grid_edges(nodes, weight, structure, symmetric=True)
    energy = graph.maxflow()
    return graph.get_grid_segments(nodes), float(energy)


def cut_band(objectness: np.ndarray, labels: np.ndarray, free: np.ndarray, edges: Edges) -> tuple[np.ndarray, float]:
    """Minimum cut over the free pixels; all others keep their label.

    objectness (H, W) in (0, 1); labels, free (H, W) bool; edges: those of `band_edges`. Edges to fixed neighbours are
    added to the free pixel's terminal edges. Returns labels (H, W) bool and their energy over the whole grid.
    """
    inside = np.flatnonzero(free)
    fixed = labels.ravel()
    likelihood = objectness.ravel().copy()
    np.subtract(1, likelihood, out=likelihood, where=~fixed)
    likelihood[inside] = 1
    energy = -float(np.log(likelihood, out=likelihood).sum(dtype=np.float64))
    if not len(inside):  # a coarse cut with one label has no boundary
        return labels, energy

    node = np.full(free.size, -1, dtype=np.int32)
    node[inside] = np.arange(len(inside), dtype=np.int32)
    foreground, background = unary_costs(objectness.ravel().take(inside))
    inner, constant = _fold_rim(edges, node, fixed, foreground, background)

    graph = maxflow.GraphFloat(len(inside), len(inner[0]))
    graph.add_nodes(len(inside))
    graph.add_edges(*inner, inner[2])
    nodes = np.arange(len(inside))
    graph.add_grid_tedges(nodes, foreground, background)
    energy += constant + float(graph.maxflow())
    solved = fixed.copy()
    solved[inside] = graph.get_grid_segments(nodes)
    return solved.reshape(labels.shape), energy


def _fold_rim(
    edges: Edges, node: np.ndarray, fixed: np.ndarray, foreground: np.ndarray, background: np.ndarray
) -> tuple[Edges, float]:
    """Turn edges with a fixed end into costs, added to foreground and background in place.

    node (P,): number of each free pixel, -1 where fixed. Returns the edges between free pixels, in node numbers, and
    the constant cost of the edges between fixed pixels.
    """
    p, q, weight = edges
    node_p, node_q = node.take(p), node.take(q)
    has_fixed = np.minimum(node_p, node_q) < 0
    rim, inner = np.flatnonzero(has_fixed), np.flatnonzero(~has_fixed)
    free_end = np.maximum(node_p[rim], node_q[rim])  # -1 where both are fixed
    neighbour = fixed[np.where(node_p[rim] >= 0, q[rim], p[rim])]
    constant = float(weight[rim[free_end < 0]].sum(dtype=np.float64))
    at, cost, neighbour = free_end[free_end >= 0], weight[rim[free_end >= 0]], neighbour[free_end >= 0]
    foreground += np.bincount(at, cost * ~neighbour, minlength=len(foreground))
    background += np.bincount(at, cost * neighbour, minlength=len(background))
    return (node_p.take(inner), node_q.take(inner), weight.take(inner).astype(np.float64)), constant


def unary_costs(objectness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phi of foreground and background (eq. 4): objectness in (0, 1), any shape -> two float64 arrays >= 0."""
    likelihood = objectness.astype(np.float64)
    return -np.log(likelihood), -np.log1p(-likelihood)


def band_around(labels: np.ndarray, band: int) -> np.ndarray:
    """(h, w) bool -> cells within `band` cells (rows or columns) of a cell with the other label; maybe none."""
    square = np.ones((3, 3), dtype=bool)
    return binary_dilation(labels, square, band) & binary_dilation(~labels, square, band)


def settle(objectness: np.ndarray, labels: np.ndarray, band: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels (H, W) with the band's certain pixels decided, and the pixels of the band that stay free; all bool.

    A pixel whose two unary costs differ by more than the sum of its edges (at most `reach`) has the cheaper label in
    every minimum, so it can be decided before the cut.
    """
    inside = np.flatnonzero(band)
    likelihood = objectness.ravel().take(inside)
    certain = 1 / (1 + np.exp(-reach))
    foreground, background = likelihood > certain, likelihood < 1 - certain
    labels, free = labels.copy(), band.copy()
    labels.ravel()[inside[foreground]] = True
    labels.ravel()[inside[background]] = False
    free.ravel()[inside[foreground | background]] = False
    return labels, free


def band_edges(
    image: np.ndarray,
    affinities: np.ndarray,
    labels: np.ndarray,
    free: np.ndarray,
    strength: float,
    geodesic_scale: float,
) -> Edges:
    """Edges of the (H, W) grid at a free pixel or between fixed pixels with different labels; weight strength * Psi.

    image (H, W, 3) uint8; affinities (D, h, w), interpolated between cells; labels, free (H, W) bool.
    """
    ends, between = [], []
    for affinity, offset in zip(affinities, OFFSETS, strict=False):
        needed = np.zeros(free.shape, dtype=bool)
        target, _ = pair_views(needed, offset)
        differ = np.not_equal(*pair_views(labels, offset))
        target[:] = np.logical_or(*pair_views(free, offset)) | differ
        ends.append(np.flatnonzero(needed))
        between.append(edge_affinity(affinity, free.shape, offset, ends[-1]))
    steps = [dy * free.shape[1] + dx for dy, dx in OFFSETS]
    p = np.concatenate(ends)
    q = np.concatenate([end + step for end, step in zip(ends, steps, strict=False)])
    colours = image.reshape(-1, 3)
    psi = coherence(np.concatenate(between), colours.take(p, axis=0), colours.take(q, axis=0), geodesic_scale / 255)
    return p, q, strength * psi


def edge_affinity(
    affinity: np.ndarray, shape: tuple[int, int], offset: tuple[int, int], index: np.ndarray
) -> np.ndarray:
    """Affinities (h, w) of one offset at edges of a finer grid (H, W), interpolated between the edges' mid-points.

    index: flat indices (E,) of the edges' p. The zeros of neighbours outside the coarse grid are not used.
    """
    (dy, dx), (height, width) = offset, shape
    inside, _ = pair_views(affinity, offset)
    if not inside.size:  # a grid one cell wide has no such edge
        return np.zeros(len(index), dtype=affinity.dtype)
    tall = along_rows(inside, taps(affinity.shape[0], height, dy))  # (H - dy, w - |dx|)
    below, above, share = taps(affinity.shape[1], width, abs(dx))
    y = index // width
    x = index - y * width - max(0, -dx)
    start = y * tall.shape[1]
    left, right = tall.ravel().take(start + below.take(x)), tall.ravel().take(start + above.take(x))
    return left + (right - left) * share.take(x)


def taps(coarse: int, fine: int, span: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear interpolation along one axis, aligned on cell centres: indices below and above, weight of above, (n,).

    span 0 is for values at cells, span 1 for values at the mid-points of neighbouring cells (coarse - 1 to fine - 1).
    """
    shift = (span + 1) / 2
    position = (np.arange(fine - span) + shift) * (coarse / fine) - shift
    position = np.clip(position, 0, coarse - span - 1)
    below = position.astype(np.intp)
    above = np.minimum(below + 1, coarse - span - 1)
    return below, above, (position - below).astype(np.float32)


def along_rows(values: np.ndarray, rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Linear interpolation of the first axis at the given taps: (h, ...) -> (n, ...)."""
    below, above, share = rows
    return values[below] + (values[above] - values[below]) * share[:, None]


def enlarge(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map (h, w) interpolated to (H, W), aligned on cell centres, constant beyond the outer centres."""
    tall = along_rows(values, taps(values.shape[0], shape[0]))  # (H, w)
    below, above, share = taps(values.shape[1], shape[1])
    # A matrix product would be shorter, but BLAS would start threads for it in every worker.
    left, right = tall.take(below, axis=1), tall.take(above, axis=1)  # (H, W)
    right -= left
    right *= share
    left += right
    return left


def repeat(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (H, W): every pixel takes the value of the cell that contains its centre."""
    rows = (2 * np.arange(shape[0]) + 1) * cells.shape[0] // (2 * shape[0])
    columns = (2 * np.arange(shape[1]) + 1) * cells.shape[1] // (2 * shape[1])
    return cells[:, columns][rows]


def shrink(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Area average of (H, W, 3) uint8 onto (h, w, 3) float32 in [0, 1]; pixels on a cell's edge count in part."""
    height, width = image.shape[:2]
    short = overlap(shape[0], height) @ image.reshape(height, -1)  # (h, W * 3)
    turned = short.reshape(shape[0], width, 3).transpose(1, 0, 2).reshape(width, -1)  # (W, h * 3)
    small = (overlap(shape[1], width) @ turned).reshape(shape[1], shape[0], 3)
    return small.transpose(1, 0, 2) / np.float32(255)


@lru_cache(maxsize=16)
def overlap(cells: int, pixels: int) -> sparse.csr_array:
    """(cells, pixels) float32: the share of each cell that each pixel covers; rows sum to 1."""
    side = pixels / cells
    pixel = np.arange(pixels)
    start = side * np.arange(cells)[:, None]
    covered = np.minimum(start + side, pixel + 1) - np.maximum(start, pixel)
    return sparse.csr_array(np.clip(covered, 0, None).astype(np.float32) / np.float32(side))
