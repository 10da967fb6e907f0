"""Other training-free masks from the same attention as AttentionCut: the baselines of DiffusionSeg's Table 5.

Each function takes A_c (h, w) >= 0 and A_s (N, N) >= 0, symmetrised as AttentionCut uses it, and returns the mask of an
image of H x W pixels, (H, W) bool. Soft maps are enlarged before they are thresholded; labels of cells are repeated.
No mask is cleaned: a comparison cleans all of them the same way. The scales of A_c and A_s do not matter. Knows nothing
of networks.

Letters: H, W image pixels; h, w attention grid; N = h * w cells in row-major order.
"""

from importlib.util import find_spec

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.linalg import eigh

from models.cut import graph as cutgraph
from models.cut.seeds import normalise
from models.errors import UserError

NO_EDGE = 1e-5  # NCut's weight between dissimilar cells, as in TokenCut
CERTAIN = 1e-4  # DenseCRF's unary clips A_c to [CERTAIN, 1 - CERTAIN], like AttentionCut's

Size = tuple[int, int]


def kmeans(class_map: np.ndarray, self_attention: np.ndarray, size: Size) -> np.ndarray:
    """2-means of A_s's rows, started at the maximum and the minimum of A_c; the object's cluster has the larger A_c.

    The labels of cells are repeated.
    """
    values, rows = class_map.ravel(), self_attention.astype(np.float64)
    _, labels = kmeans2(rows, rows[[values.argmin(), values.argmax()]], minit="matrix", iter=50)
    side = labels == 1
    side = side if _is_object(side, values) else ~side
    return cutgraph.repeat(side.reshape(class_map.shape), size)


def ncut(class_map: np.ndarray, self_attention: np.ndarray, size: Size) -> np.ndarray:
    """TokenCut's normalised cut (arXiv 2202.11539): the second smallest solution y of (D - W) y = v D y, cut at mean y.

    W is 1 where A_s is above its mean, 1/N, that is where two cells attend to each other more than to an average cell,
    and 1e-5 elsewhere; TokenCut thresholds the cosine of features at 0.2. The object's side has the larger mean A_c. y
    is enlarged before it is split.
    """
    y = second_eigenvector(np.where(self_attention > self_attention.mean(dtype=np.float64), 1.0, NO_EDGE))
    y = y if _is_object(y > y.mean(), class_map.ravel()) else -y
    return cutgraph.enlarge(y.reshape(class_map.shape), size) > y.mean()


def second_eigenvector(weights: np.ndarray) -> np.ndarray:
    """y of (D - W) y = v D y for the second smallest v: symmetric W (N, N) > 0 -> (N,) float64, of either sign.

    With z = sqrt(D) y it is the second largest eigenvector of the symmetric D^-1/2 W D^-1/2.
    """
    root = np.sqrt(weights.sum(axis=1))
    last = len(weights) - 1
    _, z = eigh(weights / np.outer(root, root), subset_by_index=[last - 1, last - 1])
    return z[:, 0] / root


def attention_power(class_map: np.ndarray, self_attention: np.ndarray, size: Size, power: int = 4) -> np.ndarray:
    """Dataset Diffusion's mask (arXiv 2309.14303): A_s^4 A_c, rows of A_s summing to 1, scaled to [0, 1], above 1/2.

    Its later steps are for images with several classes and do not apply here.
    """
    values = class_map.ravel().astype(np.float64)
    rows = self_attention.astype(np.float64)
    rows /= rows.sum(axis=1, keepdims=True)
    for _ in range(power):
        values = rows @ values
    values -= values.min()  # after four averages the map's variation may be below float32's precision at its mean
    return cutgraph.enlarge(normalise(values.reshape(class_map.shape)), size) > 0.5


def dense_crf(class_map: np.ndarray, image: np.ndarray, iterations: int = 5) -> np.ndarray:
    """A fully connected CRF (arXiv 1210.5644) whose unary is A_c in [0, 1] enlarged to the image (H, W, 3) uint8.

    Weights and widths are Deep Spectral's (arXiv 2205.07839): appearance 10 with 80 pixels and 13 grey levels,
    smoothness 3 with 3 pixels, for any image size. UserError if pydensecrf2 is not installed.
    """
    if not has_dense_crf():
        raise UserError("dense_crf: needs pydensecrf2, which is not installed; pip install -e '.[crf]' compiles it")
    from pydensecrf.densecrf import DenseCRF2D

    height, width = image.shape[:2]
    likelihood = np.clip(cutgraph.enlarge(normalise(class_map), (height, width)), CERTAIN, 1 - CERTAIN)
    costs = np.stack(cutgraph.unary_costs(likelihood)).reshape(2, -1)  # foreground first
    crf = DenseCRF2D(width, height, 2)
    crf.setUnaryEnergy(np.ascontiguousarray(costs, dtype=np.float32))
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=np.ascontiguousarray(image), compat=10)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    return np.array(crf.inference(iterations)).argmax(axis=0).reshape(height, width) == 0


def has_dense_crf() -> bool:
    """Whether pydensecrf2 is installed; it is a separate extra because it must be compiled."""
    return find_spec("pydensecrf") is not None


def _is_object(side: np.ndarray, values: np.ndarray) -> bool:
    """Whether the mean of A_c (N,) is larger on this side of the cells, (N,) bool, than on the other."""
    return bool(values @ (side - side.mean()) >= 0)
