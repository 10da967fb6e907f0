"""How close predicted masks are to the truth: per image, and over a data set. Arrays in, numbers out; knows no file.

Every function takes a prediction, (H, W) floats in [0, 1], and a truth, (H, W) bool of the same shape. Measures that
pysodmetrics also has give the same values, except in two cases in which it gives none: the E-measure of a single pixel
(it divides by zero), and the S-measure if the truth's centre is on the last row or column (NaN).

Pitfalls that explain most differences between published tables:

- Nothing is rescaled. pysodmetrics' default (normalize=True) stretches each prediction to its own minimum and maximum,
  which changes every score and hides a prediction that is never certain.
- A prediction is compared with the truth at the truth's size; resize the prediction, never the truth.
- Curves have one point for each 8-bit level, `level >= t` for t = 0..255, and the level is truncated, not rounded:
  0.999 is level 254. At t = 0 everything is foreground, so a maximum over thresholds is never below that of an
  all-foreground prediction.
- "max" is the maximum over thresholds of the mean curve: one threshold for the whole data set. The mean of each image's
  best score is larger and is not given. "mean" is the mean over thresholds.
- beta^2 is 0.3 (not 0.3^2) in F, and 1 in weighted F.
- The adaptive threshold is min(2 * mean, 1) with >=: it makes an all-zero prediction all foreground.
- Acc and IoU binarise at > 0.5. Here the IoU of two empty masks is 0, and so is F of an empty truth.
- Void, pixels that nobody judged, such as VOC's 255, is left out of every measure that counts pixels. S and weighted F
  look at neighbours: for these void is ground, and predicted as ground. A perfect prediction scores the same with void
  as without, whatever it says there.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from models.cut.masks import largest_box
from models.errors import UserError

BETA_SQUARED = 0.3
EPSILON = np.spacing(1)


@dataclass
class MaskScores:
    """Scores of a data set with masks, added image by image; its memory does not grow with the number of images.

    The summary has, averaged over images: acc, iou, mae, s, weighted_f, f_mean, f_adaptive, e_mean, e_adaptive; and the
    maxima of mean curves: f_max, e_max, tokencut_f_max. TokenCut's Acc and IoU are acc and iou: its code differs only
    in how it reads the truth (any grey above 0 is foreground), and in giving NaN for the IoU of two empty masks.
    """

    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    curves: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> dict[str, float]:
        """Add an image, (H, W) floats in [0, 1] and (H, W) bool; return its scores, except maxima of mean curves.

        void: (H, W) bool, pixels that are not judged. UserError if shapes, dtypes or the range are wrong, or if no
        pixel is judged.
        """
        prediction = checked(prediction)
        if truth.dtype != bool or truth.shape != prediction.shape:
            raise UserError(
                f"expected a bool truth of the prediction's shape {prediction.shape}, got {truth.dtype} "
                f"{truth.shape}; resize the prediction, not the truth"
            )
        whole = (prediction, truth)
        if void is not None and void.any():
            if void.all():
                raise UserError("expected a mask with judged pixels, got void everywhere; leave the pair out")
            whole = (np.where(void, 0, prediction).astype(prediction.dtype), truth & ~void)
            prediction, truth = prediction[~void], truth[~void]  # (P,)
        curves = {
            "f_max": f_curve(prediction, truth),
            "e_max": e_curve(prediction, truth),
            "tokencut_f_max": tokencut_curve(prediction, truth),
        }
        figures = {
            "acc": acc(prediction, truth),
            "iou": iou(prediction, truth),
            "mae": mae(prediction, truth),
            "s": s_measure(*whole),
            "weighted_f": weighted_f(*whole),
            "f_mean": float(curves["f_max"].mean()),
            "f_adaptive": f_adaptive(prediction, truth),
            "e_mean": float(curves["e_max"].mean()),
            "e_adaptive": e_adaptive(prediction, truth),
        }
        self.count += 1
        self.sums = {name: self.sums.get(name, 0.0) + figure for name, figure in figures.items()}
        self.curves = {name: self.curves.get(name, 0.0) + curve for name, curve in curves.items()}
        return figures

    def summary(self) -> dict[str, float]:
        """Name -> score of all images added so far."""
        return means(self.sums, self.count) | {k: float(c.max() / self.count) for k, c in self.curves.items()}


@dataclass
class BoxScores:
    """Scores of a data set with boxes: corloc, and box_iou, the mean over images of the best IoU with a true box."""

    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, prediction: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
        """Add an image, (H, W) floats in [0, 1] and (N, 4) x0, y0, x1, y1 with exclusive ends; return its scores."""
        overlap = float(box_iou(largest_box(checked(prediction) > 0.5), boxes).max(initial=0))
        figures = {"corloc": float(overlap >= 0.5), "box_iou": overlap}
        self.count += 1
        self.sums = {name: self.sums.get(name, 0.0) + figure for name, figure in figures.items()}
        return figures

    def summary(self) -> dict[str, float]:
        """Name -> score of all images added so far."""
        return means(self.sums, self.count)


def means(sums: dict[str, float], count: int) -> dict[str, float]:
    """Sums over `count` images as means; UserError if there is no image."""
    if not count:
        raise UserError("expected at least one image to average, got none; add one first")
    return {name: total / count for name, total in sums.items()}


def checked(prediction: np.ndarray) -> np.ndarray:
    """The prediction as float32 or float64; bool and half precision become float32. UserError if it is not valid."""
    if prediction.dtype in (bool, np.float16):
        prediction = prediction.astype(np.float32)
    if prediction.dtype not in (np.float32, np.float64) or prediction.ndim != 2 or not prediction.size:
        raise UserError(f"expected a prediction of (H, W) floats, got {prediction.dtype} {prediction.shape}")
    if not (prediction.min() >= 0 and prediction.max() <= 1):  # false for NaN too
        value_range = f"{prediction.min()} to {prediction.max()}"
        raise UserError(f"expected a prediction in [0, 1], got {value_range}; divide 8-bit values by 255")
    return prediction


# ---- at one threshold


def acc(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Share of pixels where `prediction > 0.5` equals the truth."""
    return float(np.mean((prediction > 0.5) == truth))


def iou(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of `prediction > 0.5` and the truth; 0 if both are empty."""
    mask = prediction > 0.5
    return float((mask & truth).sum() / max((mask | truth).sum(), 1))


def f_adaptive(prediction: np.ndarray, truth: np.ndarray) -> float:
    """F at the image's adaptive threshold, min(2 * mean, 1)."""
    mask = prediction >= min(2 * prediction.mean(), 1)
    return float(f_measure((mask & truth).sum(), mask.sum(), truth.sum()))


def e_adaptive(prediction: np.ndarray, truth: np.ndarray) -> float:
    """E at the image's adaptive threshold, min(2 * mean, 1)."""
    mask = prediction >= min(2 * prediction.mean(), 1)
    return float(e_measure((mask & truth).sum(), mask.sum(), truth.sum(), truth.size))


# ---- at every threshold


def f_curve(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """F at the thresholds 0..255, (256,)."""
    hits, predicted = counts((prediction * 255).astype(np.uint8), truth, 256)
    return f_measure(hits, predicted, truth.sum())


def e_curve(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """E at the thresholds 0..255, (256,)."""
    hits, predicted = counts((prediction * 255).astype(np.uint8), truth, 256)
    return e_measure(hits, predicted, truth.sum(), truth.size)


def tokencut_curve(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """F as in TokenCut's code: `prediction > k / 255` for k = 0..254, (255,).

    Precision is 1 if nothing is predicted, and recall is 1 if the truth is empty, so an empty prediction of an empty
    truth scores 1. Thresholds have the prediction's dtype, so that 8-bit levels equal them and do not exceed them.
    """
    thresholds = np.arange(255, dtype=prediction.dtype) / 255
    above = np.searchsorted(thresholds, prediction)  # how many thresholds each pixel exceeds, 0..255
    hits, predicted = (count[1:] for count in counts(above, truth, 256))
    if truth.any():
        return f_measure(hits, predicted, truth.sum())
    return np.where(predicted == 0, 1.0, 0.0)


def counts(levels: np.ndarray, truth: np.ndarray, num_levels: int) -> tuple[np.ndarray, np.ndarray]:
    """For each t: true positives and all positives of `levels >= t`; (num_levels,) int each."""
    inside, outside = (np.bincount(levels[part], minlength=num_levels) for part in (truth, ~truth))
    return inside[::-1].cumsum()[::-1], (inside + outside)[::-1].cumsum()[::-1]


def f_measure(hits: np.ndarray, predicted: np.ndarray, positives: int) -> np.ndarray:
    """(1 + b) p r / (b p + r), b = 0.3, with p = hits / predicted and r = hits / positives; 0 where undefined."""
    return (1 + BETA_SQUARED) * hits / np.maximum(BETA_SQUARED * positives + predicted, EPSILON)


def e_measure(hits: np.ndarray, predicted: np.ndarray, positives: int, size: int) -> np.ndarray:
    """Enhanced alignment (Fan et al. 2018) of binary maps from their counts; divided by size - 1, as in its code.

    So a perfect map scores size / (size - 1), a little above 1.
    """
    pixels = max(size - 1, 1)
    if positives == 0:
        return (size - predicted) / pixels
    if positives == size:
        return predicted / pixels
    total = np.zeros(np.shape(hits))
    for in_prediction, in_truth, number in (
        (1, 1, hits),
        (1, 0, predicted - hits),
        (0, 1, positives - hits),
        (0, 0, size - predicted - positives + hits),
    ):
        a, b = in_prediction - predicted / size, in_truth - positives / size
        total += number * (2 * a * b / (a**2 + b**2 + EPSILON) + 1) ** 2 / 4
    return total / pixels


# ---- without a threshold


def mae(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference."""
    return float(np.mean(np.abs(prediction - truth)))


def s_measure(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Structure measure (Fan et al. 2017), alpha = 0.5; 1 - mean for an empty truth, the mean for a full one.

    Standard deviations are unbiased (n - 1). A quarter in which both are constant scores 1 by the definition, but if
    the prediction's mean is not exact in floating point it counts as varying and scores 0: the measure jumps there.
    """
    share = truth.mean()
    if share == 0:
        return float(1 - prediction.mean())
    if share == 1:
        return float(prediction.mean())
    inside, outside = s_object(prediction[truth]), s_object(1 - prediction[~truth])
    objects = inside * share + outside * (1 - share)
    return float(max(0.0, 0.5 * objects + 0.5 * s_region(prediction, truth)))


def s_object(values: np.ndarray) -> float:
    """How close values, (P,), are to 1 and to each other."""
    mean, std = values.mean(), values.std(ddof=1) if values.size > 1 else 0
    return 2 * mean / (mean**2 + 1 + std + EPSILON)


def s_region(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of the four quarters around the truth's centre, weighted by area; skips empty ones."""
    y, x = (int(centre) + 1 for centre in np.argwhere(truth).mean(axis=0).round())
    quarters = [(rows, columns) for rows in (slice(y), slice(y, None)) for columns in (slice(x), slice(x, None))]
    scores = [similarity(prediction[q], truth[q]) * truth[q].size for q in quarters if truth[q].size]
    return sum(scores) / truth.size


def similarity(prediction: np.ndarray, truth: np.ndarray) -> float:
    """SSIM of one quarter without constants. Keep the order of operations: it decides which values are exactly 0."""
    degrees = truth.size - 1 + EPSILON
    x, y = np.mean(prediction), np.mean(truth)
    x_variance = np.sum((prediction - x) ** 2) / degrees
    y_variance = np.sum((truth - y) ** 2) / degrees
    covariance = np.sum((prediction - x) * (truth - y)) / degrees
    numerator, denominator = 4 * x * y * covariance, (x**2 + y**2) * (x_variance + y_variance)
    if numerator != 0:
        return numerator / (denominator + EPSILON)
    return 1.0 if denominator == 0 else 0.0


def weighted_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Weighted F (Margolin et al. 2014), beta = 1; 0 for an empty truth.

    Errors inside the truth may be smoothed over their neighbours (a 7 x 7 Gaussian, sigma 5; zeros outside the image);
    errors outside the truth weigh more the farther they are from it, at most twice.
    """
    if not truth.any():
        return 0.0
    distance, nearest = ndimage.distance_transform_edt(~truth, return_indices=True)
    error = np.abs(prediction.astype(np.float64) - truth)
    smoothed = ndimage.gaussian_filter(error[tuple(nearest)], 5, mode="constant", radius=3)
    error = np.where(truth, np.minimum(error, smoothed), error) * (2 - 0.5 ** (distance / 5))
    hits, false_positives = truth.sum() - error[truth].sum(), error[~truth].sum()
    recall, precision = hits / truth.sum(), hits / (hits + false_positives + EPSILON)
    return float(2 * recall * precision / (recall + precision + EPSILON))


# ---- boxes


def box_iou(one: tuple[int, int, int, int], boxes: np.ndarray) -> np.ndarray:
    """IoU of one box with each of (N, 4) int, (N,); x0, y0, x1, y1 with exclusive ends; 0 if both are empty."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    low, high = np.maximum(one[:2], boxes[:, :2]), np.minimum(one[2:], boxes[:, 2:])
    intersection = (high - low).clip(0).prod(axis=1)
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return intersection / np.maximum(areas - intersection, 1)
