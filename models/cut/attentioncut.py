"""AttentionCut: the object mask of an image from the attention of the model that generated it.

Follows DiffusionSeg (arXiv 2303.09813), section 3.2. Plain numpy arrays in and out; knows nothing of diffusion
networks, of datasets or of how the graph is cut (`models.cut.graph`). `attentioncut` does all of it in one call.

Notes
-----
Objectness (eq. 3, 4): O(p) = A_c(p) + alpha r(p), where A_c is the class's cross-attention and r(p) the mean
self-attention between p and the seeds B, a random subset of the boundary pixels of [A_c > tau] (`models.cut.seeds`).
A_c and r are each scaled to [0, 1] by their minimum and maximum in the image; only then do alpha = 2.5 and tau = 0.16
act as in the paper's ablation. The sum can exceed 1, so O is clamped to [clamp, 1 - clamp] and the clamped cells are
counted; objectness "mean" divides the sum by 1 + alpha, so that it does not saturate. The unary costs are -log O for
foreground and -log(1 - O) for background.

Adaptive thresholds: where A_c has a ground of some tenths, both tau and one half lie below it. With thresholds
"adaptive" tau, alpha and the level of the sum that becomes one half are those that suit the image's own maps
(`models.cut.levels`); with "paper" they are the numbers above.

Inner coherence (eq. 5): Psi(p, q) = A_s(p, q) + exp(-D(p, q)), A_s symmetrised. A row of A_s sums to 1 over all N
cells, so values between neighbours are of the order 1/N, while exp(-D) <= 1; affinity_scale "range" divides them by
their largest value in the image, so that both terms lie in [0, 1]. D is the geodesic distance of colour (see
`coherence`).

Energy (eq. 6): E(M) = sum Phi + lambda * sum of Psi over neighbours with different labels, minimised exactly. Unaries
grow with area and edges with length: lambda is for image resolution; h cells for H pixels use lambda * h / H.

Grids: "attention" cuts the (h, w) cells of the area-averaged image. "full" cuts all pixels, with objectness and
affinities interpolated from the cells. "banded" cuts the cells, then the pixels within `band` cells of the coarse
boundary; all other pixels keep the coarse label. It equals the full cut if that stays within the band.

Letters: H, W image pixels; h, w attention grid; N = h * w.
"""

from dataclasses import dataclass

import numpy as np

from models.config.cut import CutConfig
from models.cut import bilateral
from models.cut import graph as cutgraph
from models.cut.graph import OFFSETS
from models.cut.levels import best_sum, with_half_at
from models.cut.masks import clean
from models.cut.seeds import normalise, refined_map, seed_columns
from models.errors import UserError

LARGEST = 1e30  # largest value of an argument: sums of thousands of them stay finite in float32


@dataclass(frozen=True)
class Evidence:
    """The input of a cut, on the attention grid.

    class_map: (h, w) float32 >= 0, A_c before normalisation; refined: (h, w) float32 >= 0, r(p) before normalisation;
    affinities: (4, h, w) float32 >= 0, symmetrised A_s between p and p + OFFSETS[d], 0 if that neighbour is outside.
    """

    class_map: np.ndarray
    refined: np.ndarray
    affinities: np.ndarray


@dataclass(frozen=True)
class Cut:
    """A solved mask.

    mask: (H, W) bool, after post-processing; objectness: (h, w) float32 in [0, 1]; uncertainty in [0, 1]; energy: eq. 6
    before post-processing, on the grid of the cut; num_clamped: number of clamped cells of the objectness;
    bilateral_refused: whether the bilateral solver's mask was rejected, being too far from the cut's.
    """

    mask: np.ndarray
    objectness: np.ndarray
    uncertainty: float
    energy: float
    num_clamped: int
    bilateral_refused: bool


def attentioncut(image: np.ndarray, class_map: np.ndarray, self_attention: np.ndarray, config: CutConfig) -> np.ndarray:
    """The object's mask, from an image and its attention, which may come from any model.

    Parameters
    ----------
    image : (H, W, 3) uint8.
    class_map : (h, w) floating, non-negative: cross-attention of the class (A_c); its scale does not matter.
    self_attention : (N, N) floating, non-negative: row p is the attention of cell p (A_s), cells in row-major order.
    config : the cut; `CutConfig(thresholds="paper")` has the paper's numbers.

    Returns
    -------
    (H, W) bool.

    Raises
    ------
    UserError : an argument has another shape or type, or a value that is negative, NaN or above 1e30.
    """
    _check_arrays(image, class_map, self_attention)
    return cut(image, evidence_of(class_map, self_attention, config), config).mask


def evidence_of(class_map: np.ndarray, self_attention: np.ndarray, config: CutConfig) -> Evidence:
    """The evidence for the cut, from A_c (h, w) and A_s (N, N)."""
    height, width = class_map.shape
    refined = refined_map(seed_columns(self_attention, height, width), class_map, config)
    return Evidence(class_map.astype(np.float32), refined, affinities_of(self_attention, height, width))


def cut(image: np.ndarray, evidence: Evidence, config: CutConfig) -> Cut:
    """Solve one mask from its evidence; image (H, W, 3) uint8, at least as large as the attention grid."""
    objectness, num_clamped = objectness_of(evidence, config)
    affinities = scaled_affinities(evidence.affinities, config)
    mask, energy = _solve(image, objectness, affinities, config)
    refused = False
    if config.bilateral:
        smooth, refused = bilateral.smoothed(image, mask)
        mask = smooth > 0.5
    mask = clean(mask, config.min_component, config.max_hole)
    return Cut(mask, objectness, uncertainty_of(objectness), energy, num_clamped, refused)


def affinities_of(self_attention: np.ndarray, height: int, width: int) -> np.ndarray:
    """(A_s(p, q) + A_s(q, p)) / 2 for q = p + OFFSETS[d]: (N, N) -> (4, h, w) float32, 0 where q is outside."""
    index = np.arange(height * width).reshape(height, width)
    affinities = np.zeros((len(OFFSETS), height, width), dtype=np.float32)
    for d, offset in enumerate(OFFSETS):
        p, q = cutgraph.pair_views(index, offset)
        target, _ = cutgraph.pair_views(affinities[d], offset)
        target[:] = (self_attention[p, q].astype(np.float32) + self_attention[q, p].astype(np.float32)) / 2
    return affinities


def objectness_of(evidence: Evidence, config: CutConfig) -> tuple[np.ndarray, int]:
    """A_c + alpha r (eq. 4) clamped to [clamp, 1 - clamp], (h, w) float32, and how many cells were clamped."""
    raw = _sum_of(normalise(evidence.class_map), normalise(evidence.refined), config)
    objectness = np.clip(raw, np.float32(config.clamp), np.float32(1 - config.clamp))
    return objectness, int((objectness != raw).sum())


def _sum_of(class_map: np.ndarray, refined: np.ndarray, config: CutConfig) -> np.ndarray:
    """A_c + alpha r of normalised maps, on the scale where one half parts object from ground: (h, w) float32."""
    if config.thresholds == "adaptive":
        total, levels = best_sum(class_map, refined)
        return with_half_at(total, levels.threshold)
    total = class_map + np.float32(config.alpha) * refined
    return total / np.float32(1 + config.alpha) if config.objectness == "mean" else total


def scaled_affinities(affinities: np.ndarray, config: CutConfig) -> np.ndarray:
    """The A_s term of Psi in the configured neighbourhood: (4, h, w) -> (2 or 4, h, w)."""
    near = affinities[: config.neighbourhood // 2]
    if config.affinity_scale != "range":
        return near * np.float32(config.affinity_scale)
    largest = near.max()
    return near / largest if largest > 0 else near


def _solve(
    image: np.ndarray, objectness: np.ndarray, affinities: np.ndarray, config: CutConfig
) -> tuple[np.ndarray, float]:
    """Labels (H, W) bool of the minimum cut on the configured grid, and its energy there."""
    grid, pixels = objectness.shape, image.shape[:2]
    if config.grid == "full":
        dense = np.stack([_dense(a, pixels, offset) for a, offset in zip(affinities, OFFSETS, strict=False)])
        psi = cutgraph.grid_weights(image.astype(np.float32) / 255, dense, config.geodesic_scale)
        costs = cutgraph.unary_costs(cutgraph.enlarge(objectness, pixels))
        return cutgraph.cut_grid(*costs, config.lambda_ * psi)

    psi = cutgraph.grid_weights(cutgraph.shrink(image, grid), affinities, config.geodesic_scale)
    scale = float(np.sqrt(np.prod(grid) / np.prod(pixels)))  # h / H, or the geometric mean if the axes differ
    coarse, energy = cutgraph.cut_grid(*cutgraph.unary_costs(objectness), config.lambda_ * scale * psi)
    labels = cutgraph.repeat(coarse, pixels)
    if config.grid == "attention":
        return labels, energy
    band = cutgraph.repeat(cutgraph.band_around(coarse, config.band), pixels)
    fine = cutgraph.enlarge(objectness, pixels)
    reach = config.lambda_ * config.neighbourhood * (1 + float(affinities.max()))  # exp(-D) is at most 1
    labels, free = cutgraph.settle(fine, labels, band, reach)
    edges = cutgraph.band_edges(image, affinities, labels, free, config.lambda_, config.geodesic_scale)
    return cutgraph.cut_band(fine, labels, free, edges)


def _dense(affinity: np.ndarray, shape: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
    """Affinities (h, w) of one offset interpolated to (H, W), 0 where the neighbour is outside."""
    dense = np.zeros(shape, dtype=np.float32)
    target, _ = cutgraph.pair_views(dense, offset)
    index, _ = cutgraph.pair_views(np.arange(dense.size).reshape(shape), offset)
    target[:] = cutgraph.edge_affinity(affinity, shape, offset, index.ravel()).reshape(index.shape)
    return dense


def uncertainty_of(objectness: np.ndarray) -> float:
    """Share of the likely object that is uncertain: 1 - |O > 0.6| / |O > 0.4|, objectness (h, w) -> [0, 1].

    0 if moving the threshold changes nothing, 1 if there is no object. The entropy of the most uncertain tenth of the
    cells, DatasetGAN's score of its ensembles, is near 1 for every mask, because every mask has an outline.
    """
    likely = np.count_nonzero(objectness > 0.4)
    return 1 - np.count_nonzero(objectness > 0.6) / likely if likely else 1.0


def _check_arrays(image: np.ndarray, class_map: np.ndarray, self_attention: np.ndarray) -> None:
    for name, values in (("image", image), ("class_map", class_map), ("self_attention", self_attention)):
        if not isinstance(values, np.ndarray):
            raise UserError(f"{name}: expected a numpy array, got {type(values).__name__}; use numpy.asarray")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UserError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}; convert it to 8-bit RGB")
    if class_map.ndim != 2 or not class_map.size:
        raise UserError(f"class_map: expected (h, w), got {class_map.shape}; average heads, layers and steps first")
    cells = class_map.size
    if self_attention.shape != (cells, cells):
        expected = f"({cells}, {cells}) for a class_map of {class_map.shape}"
        raise UserError(f"self_attention: expected {expected}, got {self_attention.shape}; use one grid for both")
    if image.shape[0] < class_map.shape[0] or image.shape[1] < class_map.shape[1]:
        raise UserError(f"image: expected at least class_map's {class_map.shape}, got {image.shape}; enlarge it")
    for name, values in (("class_map", class_map), ("self_attention", self_attention)):
        if values.dtype.kind != "f":
            raise UserError(f"{name}: expected floating numbers, got {values.dtype}; convert it to float32")
        low, high = values.min(), values.max()
        if not high <= LARGEST:  # also true for NaN
            raise UserError(f"{name}: expected numbers up to {LARGEST:g}, got NaN or {high}; leave this image out")
        if low < 0:
            raise UserError(f"{name}: expected numbers >= 0, got {low}; pass probabilities, not logits")
