"""Images, soft masks and masks at other sizes, and values stretched to [0, 1]. Knows nothing of what they show."""

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

Size = tuple[int, int]  # (H, W)

# Mean and standard deviation of ImageNet's pixels in [0, 1], by channel.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resized(photo: np.ndarray, size: Size) -> np.ndarray:
    """(H, W, 3) uint8 at another size, averaged if it becomes smaller; unchanged if the size is the same."""
    if photo.shape[:2] == size:
        return photo
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.LANCZOS))


def resized_soft(soft: np.ndarray, size: Size) -> np.ndarray:
    """(H, W) float32 in [0, 1] at another size, bilinear, averaged if it becomes smaller."""
    return np.array(Image.fromarray(soft).resize(size[::-1], Image.Resampling.BILINEAR)).clip(0, 1)


def resized_mask(mask: np.ndarray, size: Size) -> np.ndarray:
    """(H, W) bool at another size: a pixel is object if more than half of its area is."""
    return resized_soft(mask.astype(np.float32), size) > 0.5


def resized_truth(mask: np.ndarray, void: np.ndarray | None, size: Size) -> tuple[np.ndarray, np.ndarray | None]:
    """A mask and its pixels that are not judged, both (H, W) bool, at another size; None if all are judged.

    A pixel is void if more than half of its area is, and object if more than half of its judged area is.
    """
    if void is None:
        return resized_mask(mask, size), None
    unjudged = resized_soft(void.astype(np.float32), size)
    return resized_soft(mask.astype(np.float32), size) > 0.5 * (1 - unjudged), unjudged > 0.5


def filled(mask: np.ndarray, void: np.ndarray) -> np.ndarray:
    """(H, W) bool, each void pixel with the value of the nearest pixel that is not; all void leaves it unchanged."""
    if void.all():
        return mask
    nearest = ndimage.distance_transform_edt(void, return_distances=False, return_indices=True)
    return mask[tuple(nearest)]


def stretched(values: torch.Tensor) -> torch.Tensor:
    """(B, ...) scaled to [0, 1], each of the B by its minimum and maximum; a constant one stays unchanged."""
    low, high = (extreme.view(-1, *[1] * (values.ndim - 1)) for extreme in values.flatten(1).aminmax(dim=1))
    return torch.where(high > low, (values - low) / torch.where(high > low, high - low, 1), values)
