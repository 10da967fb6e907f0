"""The fast bilateral solver: smooths a map within regions of similar colour and keeps it sharp between them.

Barron and Poole, "The Fast Bilateral Solver" (ECCV 2016), implemented from its equations. Knows nothing of attention.
Letters: P pixels, V vertices of the bilateral grid (its occupied bins of position and colour).

It minimises, over maps x = S' y that are constant within a bin,
    lambda / 2 * sum_ij W_ij (x_i - x_j)^2 + sum_i c_i (x_i - t_i)^2,    W = S' D_m^-1 D_n B D_n D_m^-1 S,
with S the splat (V, P), B the blur between neighbouring bins and D_n the scaling that makes W doubly stochastic. The
minimum solves (lambda (D_m - D_n B D_n) + diag(S c)) y = S (c t).
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

RGB_TO_YUV = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])  # BT.601
YUV_OFFSET = (0, 128, 128)  # of 8-bit YUV, where grey has chroma 128


def solve(
    image: np.ndarray,
    target: np.ndarray,
    confidence: float = 0.999,
    spatial: float = 16,  # bin width, pixels; this and the next two as in TokenCut's command line
    luma: float = 16,  # bin width, grey levels
    chroma: float = 8,  # bin width, grey levels
    smoothness: float = 256,  # lambda
    max_iterations: int = 25,
    tolerance: float = 1e-5,
) -> np.ndarray:
    """Smooth a map along the image's edges: image (H, W, 3) uint8, target (H, W) in [0, 1] -> (H, W) float64."""
    vertex, bins = bilateral_grid(image, spatial, luma, chroma)
    counts = np.bincount(vertex).astype(np.float64)
    blur = neighbour_blur(bins)
    scale, mass = bistochastic(blur, counts)

    scaling = sparse.diags_array(scale)
    smoother = sparse.diags_array(mass) - scaling @ blur @ scaling
    system = (smoothness * smoother + sparse.diags_array(confidence * counts)).tocsr()
    right = confidence * np.bincount(vertex, target.ravel())
    jacobi = sparse.diags_array(1 / np.maximum(system.diagonal(), 1e-5))
    y, _ = cg(system, right, right / (confidence * counts), rtol=tolerance, maxiter=max_iterations, M=jacobi)
    return y[vertex].reshape(target.shape)


def smoothed(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, bool]:
    """The mask smoothed by the solver, or the mask itself and True if the two have IoU < 0.5 (FOUND's rule).

    image (H, W, 3) uint8, mask (H, W) bool -> (H, W) float64 about in [0, 1], above 0.5 inside.
    """
    smooth = solve(image, mask.astype(np.float64))
    inside = smooth > 0.5
    refused = bool(2 * (inside & mask).sum() < (inside | mask).sum())
    return (mask.astype(np.float64) if refused else smooth), refused


def bilateral_grid(image: np.ndarray, spatial: float, luma: float, chroma: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertex of each pixel's bin (P,), and the vertices' bins (V, 5) in x, y, luma and two chroma.

    Bins stand at multiples of their width, as TokenCut's do: where they are does not depend on the image's own colours.
    The numbers of the bins begin at the image's smallest.
    """
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].reshape(2, -1)
    colour = image.reshape(-1, 3) @ RGB_TO_YUV.T + YUV_OFFSET
    position = np.column_stack([x / spatial, y / spatial, colour / (luma, chroma, chroma)])
    bins = np.floor(position).astype(np.int64)
    bins -= bins.min(axis=0)
    _, first, vertex = np.unique(_codes(bins), return_index=True, return_inverse=True)
    return vertex, bins[first]


def neighbour_blur(bins: np.ndarray) -> sparse.csr_array:
    """B (V, V): the kernel (1, 2, 1) along each axis, summed over the axes, between occupied bins; symmetric."""
    codes = _codes(bins)  # ascending, because the bins come from np.unique
    blur = 2 * bins.shape[1] * sparse.eye_array(len(bins), format="csr")
    for axis, step in enumerate(_strides(bins)):
        ahead = np.minimum(np.searchsorted(codes, codes + step), len(codes) - 1)
        linked = np.flatnonzero(codes[ahead] == codes + step)
        assert (bins[ahead[linked], axis] == bins[linked, axis] + 1).all()
        link = sparse.csr_array((np.ones(len(linked)), (linked, ahead[linked])), shape=blur.shape)
        blur = blur + link + link.T
    return blur


def bistochastic(blur: sparse.csr_array, counts: np.ndarray, iterations: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Diagonals n of D_n and m of D_m, (V,) each: n * (B n) = m, with m close to the pixel counts."""
    scale = np.ones(len(counts))
    for _ in range(iterations):
        scale = np.sqrt(scale * counts / (blur @ scale))
    return scale, scale * (blur @ scale)


def _strides(bins: np.ndarray) -> np.ndarray:
    """Place values of a mixed-radix code with one spare digit per axis, so that a step past the end hits no bin."""
    extents = bins.max(axis=0) + 2
    return np.concatenate([np.cumprod(extents[::-1])[-2::-1], [1]])


def _codes(bins: np.ndarray) -> np.ndarray:
    """One integer per bin, (V, 5) -> (V,) int64."""
    return bins @ _strides(bins)
