"""Small simulated samples with exact masks: a coloured ellipse, its class map over a ground, and self-attention."""

import numpy as np
from scipy.ndimage import gaussian_filter

from models.config.cut import CutConfig
from models.cut.attentioncut import affinities_of
from models.cut.seeds import seed_columns
from models.tuning.trials import Setting, Trial, of_attention

SIDE, FACTOR = 16, 4
PAPER = Setting(CutConfig(thresholds="paper"), top_k=2)


def truth_of(index: int) -> np.ndarray:
    """An ellipse on the cells, (16, 16) bool."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, radii = rng.uniform(6, 10, 2), rng.uniform(2.5, 4.5, 2)
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1


def large(cells: np.ndarray) -> np.ndarray:
    """Cells as pixels."""
    return cells.repeat(FACTOR, 0).repeat(FACTOR, 1)


def attention_of(index: int, ground: float) -> tuple[np.ndarray, np.ndarray]:
    """Layer maps (3, h, w) and A_s (N, N) of the ellipse."""
    rng, truth = np.random.default_rng([index, 1]), truth_of(index)
    thing = gaussian_filter(truth * 1.0, 1)
    maps = [ground + (1 - ground) * thing + 0.03 * rng.standard_normal(truth.shape) for _ in range(3)]
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    features = np.stack([truth * 1.0, y, x], -1).reshape(-1, 3) + rng.normal(0, 0.05, (SIDE**2, 3))
    weights = np.exp(-20 * ((features[:, None] - features) ** 2).sum(-1))
    return np.clip(maps, 0, None), weights / weights.sum(1, keepdims=True)


def image_of(index: int) -> np.ndarray:
    """The ellipse in colour, with noise, (64, 64, 3) uint8."""
    rng = np.random.default_rng([index, 2])
    clean = np.where(large(truth_of(index))[..., None], (180, 120, 60), (60, 110, 90))
    return np.clip(clean + rng.normal(0, 4, clean.shape), 0, 255).astype(np.uint8)


def trial_of(index: int, ground: float = 0.3, image: np.ndarray | None = None, ks: tuple[int, ...] = ()) -> Trial:
    """The sample as a trial of a build with the paper's numbers."""
    maps, attention = attention_of(index, ground)
    columns = seed_columns(attention, SIDE, SIDE)
    image = image_of(index) if image is None else image
    return of_attention(image, maps, columns, affinities_of(attention, SIDE, SIDE), PAPER, ks)
