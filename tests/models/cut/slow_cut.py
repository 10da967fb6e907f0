"""AttentionCut's equations, written out slowly, and cases to compare with."""

import itertools

import numpy as np

from models.config.cut import CutConfig
from models.cut import attentioncut as ac
from models.pocket.scenes import render

STEPS = {4: [(0, 1), (1, 0)], 8: [(0, 1), (1, 0), (1, 1), (1, -1)]}
BARE = {"min_component": 0.0, "max_hole": 0.0}


def config(**values) -> CutConfig:
    return CutConfig.model_validate({**BARE, **values})


def neighbours(height, width, neighbourhood):
    """Every neighbouring pair of cells, once: ((y, x), (y, x))."""
    for y, x in itertools.product(range(height), range(width)):
        for dy, dx in STEPS[neighbourhood]:
            if y + dy < height and 0 <= x + dx < width:
                yield (y, x), (y + dy, x + dx)


def slow_weights(image, self_attention, setting):
    """Psi of every pair of the attention grid, from eq. 5; one image pixel to a cell."""
    height, width = image.shape[:2]
    pairs = list(neighbours(height, width, setting.neighbourhood))
    flat = {pair: [y * width + x for y, x in pair] for pair in pairs}
    affinity = {k: (self_attention[p, q] + self_attention[q, p]) / 2 for k, (p, q) in flat.items()}
    factor = 1 / max(affinity.values()) if setting.affinity_scale == "range" else setting.affinity_scale
    colour = image.astype(float) / 255
    distance = {(p, q): setting.geodesic_scale * np.linalg.norm(colour[p] - colour[q]) for p, q in pairs}
    return {pair: factor * affinity[pair] + np.exp(-distance[pair]) for pair in pairs}


def slow_energy(labels, objectness, weights, strength):
    """Eq. 6, term by term."""
    chances = zip(objectness.ravel().astype(float), labels.ravel(), strict=True)
    unary = sum(-np.log(chance if label else 1 - chance) for chance, label in chances)
    return unary + strength * sum(w for (p, q), w in weights.items() if labels[p] != labels[q])


def random_case(rng, height, width, factor=1):
    """Image, class map and row-normalised self-attention with no structure at all."""
    image = rng.integers(0, 256, (height * factor, width * factor, 3), dtype=np.uint8)
    attention = rng.random((height * width, height * width)) ** 3
    return image, rng.random((height, width)), attention / attention.sum(1, keepdims=True)


def scene_case(index, noise=0.05):
    """A pocket scene with evidence on 16x16 cells made from its mask."""
    scene, rng = render(3, index), np.random.default_rng(index)
    share = scene.mask.reshape(16, 8, 16, 8).mean((1, 3))
    affinities = np.zeros((4, 16, 16), dtype=np.float32)
    for d, (dy, dx) in enumerate(ac.OFFSETS):
        for y, x in itertools.product(range(16 - dy), range(max(0, -dx), 16 - max(0, dx))):
            affinities[d, y, x] = (1 - abs(share[y, x] - share[y + dy, x + dx])) / 256
    maps = [np.clip(share + noise * rng.normal(size=(16, 16)), 0, None).astype(np.float32) for _ in range(2)]
    return scene.image, ac.Evidence(maps[0], maps[1], affinities), scene.mask


def iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())
