"""A_c and r(p) from what was recorded at the seed cells (DiffusionSeg, eq. 2 and 3), in a build and again in a recut.

Seeds B are drawn among seed cells, and A_s's columns there are all that r(p) needs of it (docs/decisions/evidence.md).
Plain numpy arrays; imports no torch and knows nothing of networks or of datasets.

Letters: h x w latent grid, N = h * w cells, K seed cells.
"""

import numpy as np

from models.attentioncut import normalise, refined_map, seeds
from models.config import CutConfig

MAX_SIDE = 48  # seed cells along a side: every cell up to here, one in 2x2 up to 96, one in 4x4 up to 192


def class_and_refined(
    layer_maps: np.ndarray, columns: np.ndarray, top_k: int, config: CutConfig
) -> tuple[np.ndarray, np.ndarray]:
    """A_c and r(p), (h, w) float32 each. layer_maps: (layers, h, w); columns: (N, K), A_s at `seed_cells`."""
    class_map = mean_of_top(layer_maps, top_k)
    return class_map, refined_from_columns(columns, class_map, config)


def mean_of_top(layer_maps: np.ndarray, top_k: int) -> np.ndarray:
    """A_c: mean of the k layers of largest standard deviation. layer_maps: (layers, h, w) -> (h, w) float32 >= 0."""
    maps = layer_maps.astype(np.float32)
    order = np.argsort(-maps.std(axis=(1, 2)), kind="stable")
    return maps[order[:top_k]].mean(axis=0)


def seed_cells(height: int, width: int) -> np.ndarray:
    """Cells that may be seeds: all of a small grid, else one in each block of 2x2, 4x4 ...; (K,) flat, ascending."""
    side = 1
    while max(height, width) > MAX_SIDE * side and height % (2 * side) == width % (2 * side) == 0:
        side *= 2
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height:side, :width:side] + rng.integers(0, side, (2, height // side, width // side))
    return np.sort((rows * width + columns).ravel())


def refined_from_columns(columns: np.ndarray, class_map: np.ndarray, config: CutConfig) -> np.ndarray:
    """r(p) of eq. 3, B drawn among the boundary's seed cells; zeros where the boundary has none.

    columns: (N, K), A_s at `seed_cells`; class_map: (h, w) -> (h, w) float32.
    """
    boundary = seeds(normalise(class_map), config.tau, class_map.size)
    chosen = np.flatnonzero(np.isin(seed_cells(*class_map.shape), boundary))
    if len(chosen) > config.num_seeds:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, config.num_seeds, replace=False))
    return refined_map(columns, chosen).reshape(class_map.shape)
