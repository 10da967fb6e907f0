"""The graph of AttentionCut: pairwise weights between neighbours and the minimum cut, on a whole grid or in a band.

Knows nothing of attention, seeds or configuration: unary costs and affinities in, labels out.
Letters: (H, W) the grid that is cut, (h, w) the attention grid, P pixels, E edges; offsets are (dy, dx).

Minimised is E(M) = sum_p Phi(p | M) + sum_{M(p) != M(q)} weight(p, q) (eq. 6, lambda inside the weights) by Boykov and
Kolmogorov's algorithm, which finds the same minimum as Ford-Fulkerson's. Each neighbouring pair is one edge of weight
lambda * Psi; diagonal edges count like the others, as eq. 6 has no factor for length.
"""

import maxflow
import numpy as np
from scipy.ndimage import binary_dilation

OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, down, down-right, down-left

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]  # flat indices p and q (E,), weights (E,)


def pair_views(grid: np.ndarray, offset: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Views of (H, W, ...) holding p and q = p + offset for every pair inside the grid: (H - dy, W - |dx|, ...)."""
    dy, dx = offset
    height, width = grid.shape[:2]
    here = grid[: height - dy, max(0, -dx) : width - max(0, dx)]
    there = grid[dy:, max(0, dx) : width + min(0, dx)]
    return here, there


def coherence(affinity: np.ndarray, colour_p: np.ndarray, colour_q: np.ndarray, geodesic_scale: float) -> np.ndarray:
    """Inner coherence Psi = A_s + exp(-D) (eq. 5) of edges; affinity (...), colours (..., 3) float in [0, 1].

    D is the geodesic distance of colour, a sum of norms of colour steps along the shortest path. Between neighbours
    the direct edge is the shortest path, by the triangle inequality, so D = geodesic_scale * |I_p - I_q|.
    """
    step = colour_p - colour_q
    return affinity + np.exp(-geodesic_scale * np.sqrt(np.einsum("...c,...c->...", step, step)))


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
    graph.add_grid_tedges(nodes, foreground, background)  # on the sink's side a node pays its source edge
    for weight, (dy, dx) in zip(weights, OFFSETS, strict=False):
        structure = np.zeros((3, 3))
        structure[1 + dy, 1 + dx] = 1
        graph.add_grid_edges(nodes, weight, structure, symmetric=True)
    energy = graph.maxflow()
    return graph.get_grid_segments(nodes), float(energy)


def cut_band(objectness: np.ndarray, labels: np.ndarray, free: np.ndarray, edges: list[Edges]) -> tuple[np.ndarray, float]:
    """Minimum cut over the free pixels, all others keeping their label.

    objectness (H, W) in (0, 1); labels, free (H, W) bool; edges: those that touch a free pixel. A fixed neighbour is
    folded into the free pixel's terminal edges. Returns labels (H, W) bool and their energy over the whole grid.
    No two fixed neighbours may differ, or the energy would miss their edge.
    """
    inside = np.flatnonzero(free)
    node = np.full(free.size, -1, dtype=np.int32)
    node[inside] = np.arange(len(inside), dtype=np.int32)
    foreground, background = unary_costs(objectness.ravel()[inside])
    fixed_labels = labels.ravel()

    graph = maxflow.GraphFloat(len(inside), sum(len(p) for p, _, _ in edges))
    graph.add_nodes(len(inside))
    for p, q, weight in edges:
        for rim, beyond in ((p, q), (q, p)):
            outward = np.flatnonzero((node[rim] >= 0) & (node[beyond] < 0))
            at, toll, label = node[rim[outward]], weight[outward], fixed_labels[beyond[outward]]
            foreground += np.bincount(at, toll * ~label, minlength=len(inside))
            background += np.bincount(at, toll * label, minlength=len(inside))
        both = np.flatnonzero((node[p] >= 0) & (node[q] >= 0))
        graph.add_edges(node[p[both]], node[q[both]], weight[both], weight[both])
    graph.add_grid_tedges(np.arange(len(inside)), foreground, background)

    energy = graph.maxflow()
    solved = fixed_labels.copy()
    solved[inside] = graph.get_grid_segments(np.arange(len(inside)))
    rest = np.flatnonzero(~free)
    likelihood = objectness.ravel()[rest]
    energy -= np.log(np.where(fixed_labels[rest], likelihood, 1 - likelihood), dtype=np.float64).sum()
    return solved.reshape(labels.shape), float(energy)


def unary_costs(objectness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phi of foreground and background (eq. 4): objectness in (0, 1), any shape -> two float64 arrays >= 0."""
    likelihood = objectness.astype(np.float64)
    return -np.log(likelihood), -np.log1p(-likelihood)


def band_around(labels: np.ndarray, band: int) -> np.ndarray:
    """(h, w) bool -> cells within `band` cells (rows or columns) of one of the other label; none if all are alike."""
    square = np.ones((3, 3), dtype=bool)
    return binary_dilation(labels, square, band) & binary_dilation(~labels, square, band)


def band_edges(
    image: np.ndarray, affinities: np.ndarray, free: np.ndarray, weight: float, geodesic_scale: float
) -> list[Edges]:
    """Edges of the (H, W) grid that touch a free pixel, with weight * Psi.

    image (H, W, 3) uint8; affinities (D, h, w), interpolated between cells; free (H, W) bool.
    """
    height, width = free.shape
    index = np.arange(free.size, dtype=np.int32).reshape(free.shape)
    colours = image.reshape(-1, 3).astype(np.float32) / 255
    edges = []
    for affinity, offset in zip(affinities, OFFSETS, strict=False):
        here, there = pair_views(free, offset)
        touching = here | there
        p, q = (view[touching] for view in pair_views(index, offset))
        between = edge_affinity(affinity, (height, width), offset)[touching]
        edges.append((p, q, weight * coherence(between, colours[p], colours[q], geodesic_scale)))
    return edges


def edge_affinity(affinity: np.ndarray, shape: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
    """Affinities (h, w) of one offset at the pairs of a finer grid, interpolated between the edges' mid-points.

    Returns (H - dy, W - |dx|), in step with `pair_views`; the coarse zeros that stand for "outside" take no part.
    """
    inside, _ = pair_views(affinity, offset)
    if not inside.size:  # a grid one cell wide has no such edge
        return np.zeros((shape[0] - offset[0], shape[1] - abs(offset[1])), dtype=affinity.dtype)
    rows = taps(affinity.shape[0], shape[0], abs(offset[0]))
    columns = taps(affinity.shape[1], shape[1], abs(offset[1]))
    return interpolate(inside, rows, columns)


def taps(coarse: int, fine: int, span: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear interpolation along one axis, aligned on cell centres: indices below and above, share of the above (n,).

    span 0 reads values at cells, span 1 values at the mid-points of neighbouring cells (coarse - 1 to fine - 1).
    """
    shift = (span + 1) / 2
    position = (np.arange(fine - span) + shift) * (coarse / fine) - shift
    position = np.clip(position, 0, coarse - span - 1)
    below = position.astype(np.intp)
    above = np.minimum(below + 1, coarse - span - 1)
    return below, above, (position - below).astype(np.float32)


def interpolate(values: np.ndarray, rows: tuple[np.ndarray, ...], columns: tuple[np.ndarray, ...]) -> np.ndarray:
    """Bilinear interpolation of a map at the given taps: rows first, while the map is still narrow."""
    below, above, share = rows
    tall = values[below] + (values[above] - values[below]) * share[:, None]
    below, above, share = columns
    return tall[:, below] + (tall[:, above] - tall[:, below]) * share


def enlarge(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map (h, w) interpolated to (H, W), aligned on cell centres, constant beyond the outer centres."""
    return interpolate(values, taps(values.shape[0], shape[0]), taps(values.shape[1], shape[1]))


def repeat(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (H, W): every pixel takes the value of the cell its centre lies in."""
    rows = (2 * np.arange(shape[0]) + 1) * cells.shape[0] // (2 * shape[0])
    columns = (2 * np.arange(shape[1]) + 1) * cells.shape[1] // (2 * shape[1])
    return cells[rows[:, None], columns]


def shrink(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Area average of (H, W, 3) uint8 onto (h, w, 3) float32 in [0, 1]; pixels split between cells are shared."""
    height, width = image.shape[:2]
    rows, columns = _overlap(shape[0], height), _overlap(shape[1], width)
    short = (rows @ image.reshape(height, -1).astype(np.float32)).reshape(shape[0], width, 3)
    return np.einsum("xw,hwc->hxc", columns, short, optimize=True) / np.float32(255)


def _overlap(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels) float32: the share of each cell that each pixel covers; rows sum to 1."""
    cell = np.arange(cells)[:, None] * (pixels / cells)
    pixel = np.arange(pixels)
    covered = np.minimum(cell + pixels / cells, pixel + 1) - np.maximum(cell, pixel)
    return (np.clip(covered, 0, None) * (cells / pixels)).astype(np.float32)
