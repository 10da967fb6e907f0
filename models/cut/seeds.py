"""A_c, the seeds B and r(p) (DiffusionSeg, eq. 2 and 3), from recorded attention: for builds, recuts and single calls.

Seeds are drawn among the *seed cells*, and r(p) needs only A_s's columns there (docs/decisions/evidence.md). The paper
treats A_s as symmetric; here (A_s + A_s^T) / 2 is used. Plain numpy arrays; imports no torch and knows nothing of
networks or of datasets.

Letters: h x w latent grid, N = h * w cells, K seed cells.
"""

import numpy as np
from scipy import ndimage

from models.config.cut import SEED_SETS, CutConfig
from models.cut.levels import best_sum, taus_of

MAX_SIDE = 48  # seed cells along a side: all cells up to 48, one in 2x2 up to 96, one in 4x4 up to 192


def class_and_refined(
    layer_maps: np.ndarray, columns: np.ndarray, top_k: int, config: CutConfig
) -> tuple[np.ndarray, np.ndarray]:
    """A_c and r(p), (h, w) float32 each. layer_maps: (layers, h, w); columns: (N, K) as from `seed_columns`."""
    class_map = mean_of_top(layer_maps, top_k)
    return class_map, refined_map(columns, class_map, config)


def mean_of_top(layer_maps: np.ndarray, top_k: int) -> np.ndarray:
    """A_c: mean of the k layers with the largest std. layer_maps: (layers, h, w) -> (h, w) float32 >= 0."""
    maps = layer_maps.astype(np.float32)
    order = np.argsort(-maps.std(axis=(1, 2)), kind="stable")
    return maps[order[:top_k]].mean(axis=0)


def seed_cells(height: int, width: int) -> np.ndarray:
    """Cells that may be seeds: all cells of a small grid, else one per block of 2x2, 4x4 ...; (K,) flat, ascending."""
    side = 1
    while max(height, width) > MAX_SIDE * side and height % (2 * side) == width % (2 * side) == 0:
        side *= 2
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height:side, :width:side] + rng.integers(0, side, (2, height // side, width // side))
    return np.sort((rows * width + columns).ravel())


def seed_columns(self_attention: np.ndarray, height: int, width: int) -> np.ndarray:
    """Columns of the symmetrised A_s at the seed cells: (N, N) -> (N, K) float32."""
    cells = seed_cells(height, width)
    return (self_attention[:, cells].astype(np.float32) + self_attention[cells].astype(np.float32).T) / 2


def refined_map(columns: np.ndarray, class_map: np.ndarray, config: CutConfig) -> np.ndarray:
    """r(p) of eq. 3: mean over the seeds b of the symmetrised A_s(p, b); zeros if the boundary has no seed cell.

    With adaptive thresholds, that of the tau whose sum A_c + alpha r its two levels explain best (`models.cut.levels`).
    columns: (N, K) as from `seed_columns`; class_map: (h, w) -> (h, w) float32.
    """
    scaled = normalise(class_map)
    if config.thresholds == "paper":
        return mean_to_boundary(columns, scaled, config.tau, config.num_seeds)
    maps = [mean_to_boundary(columns, scaled, tau, config.num_seeds) for tau in taus_of(scaled)]
    return max(maps, key=lambda refined: best_sum(scaled, normalise(refined))[1].explained)  # of equals, the first


def mean_to_boundary(columns: np.ndarray, class_map: np.ndarray, tau: float, num_seeds: int) -> np.ndarray:
    """r(p) for the seeds on the boundary of [A_c > tau], (h, w) float32; class_map (h, w) in [0, 1]."""
    boundary = boundary_cells(class_map, tau)
    chosen = np.flatnonzero(np.isin(seed_cells(*class_map.shape), boundary))
    if len(chosen) > num_seeds:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, num_seeds, replace=False))
    if not len(chosen):
        return np.zeros(class_map.shape, dtype=np.float32)
    return columns[:, chosen].astype(np.float32).mean(axis=1).reshape(class_map.shape)


def refined_sets(columns: np.ndarray, class_map: np.ndarray, config: CutConfig) -> np.ndarray:
    """r(p) for each of SEED_SETS, (T, h, w) float16; columns: (N, K) as from `seed_columns`, class_map: (h, w)."""
    maps = [refined_map(columns, class_map, config.with_seed_set(seeds)) for seeds in SEED_SETS]
    return np.stack(maps).astype(np.float16)


def boundary_cells(class_map: np.ndarray, tau: float) -> np.ndarray:
    """Boundary of [A_c > tau], class_map (h, w) in [0, 1] -> flat indices, ascending.

    A boundary cell lies inside and one of its four neighbours outside; the image's edge is not a boundary.
    Empty if [A_c > tau] is empty or covers the image.
    """
    region = class_map > tau
    return np.flatnonzero(region & ~ndimage.binary_erosion(region, border_value=1))


def normalise(values: np.ndarray) -> np.ndarray:
    """A map scaled to [0, 1] by its minimum and maximum, float32; a constant map becomes zeros."""
    values = values.astype(np.float32)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
