"""Label values in a grey mask: which pixels are object, ground and void, decided by their values and their shapes.

Soft masks have levels of grey; files of labels have small numbers, with 255 (65535 in 16 bits) for void, pixels that
nobody judged. docs/benchmark-folders.md states the rules. Arrays in, arrays out; knows no file.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.errors import UserError

FEW = 64  # most labels of one file
NEARLY_BLACK = 20  # highest value of an empty mask that is not quite black, and of labels that cannot be a grey level
HIGHEST_LABEL = 182  # of the common sets, beside void; a soft edge has values above it
LEAST = 0.1  # of void's pixels: objects that an outline encloses are more
OUTLINE = 5  # pixels from an outline's edge to its middle, at most
CROSS = ndimage.generate_binary_structure(2, 1)


def _voc_colours() -> NDArray[np.uint8]:
    """VOC's colour of each label 0..255, (256, 3): the label's bits, three by three, are the channels' highest bits."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1]  # (256, 8), the lowest first
    bits = np.pad(bits, ((0, 0), (0, 1))).reshape(256, 3, 3)  # label, triple, channel
    return (bits * np.array([128, 64, 32], np.uint8)[:, None]).sum(axis=1).astype(np.uint8)


VOC_COLOURS = _voc_colours()
VOC_LABELS = (*range(21), 255)  # the classes, and void
VOC_GREYS = np.unique(np.rint(VOC_COLOURS[[*VOC_LABELS]] @ (0.299, 0.587, 0.114)).astype(int))  # the highest is void's


class Truth(NamedTuple):
    """A mask as read. grey: (H, W) uint8, the object above 127; void: (H, W) bool, not judged, None without any."""

    grey: NDArray[np.uint8]
    void: NDArray[np.bool_] | None = None


def labels_as_truth(objects: NDArray[np.bool_], void: NDArray[np.bool_]) -> Truth:
    """The truth of a file of labels from (H, W) bool: object 255, all else 0."""
    return Truth(objects * np.uint8(255), void if void.any() else None)


def grey_truth(values: np.ndarray) -> Truth:
    """(H, W) grey values of a lossless file, of 8 bits or of 16; the 16 bits may hold values of 8.

    Soft values stay as they are, those of 16 bits by their high byte. Labels are read as objects if there is one of
    them beside 0, or if void lies between them and the ground. UserError if they cannot be told from each other, or if
    the mask would be empty although its values vary.
    """
    present = np.flatnonzero(np.bincount(values.ravel()))
    top = _highest(present)
    labels = present[(present > 0) & (present < top)]
    soft = Truth((values if present[-1] <= 255 else values >> 8).astype(np.uint8))
    if not labels.size or labels.size > FEW:
        return above_middle(soft, present)
    if labels.size == 1 and present[0] == 0 and present[-1] < top and not (soft.grey > 127).any():
        return labels_as_truth(values > 0, np.zeros(values.shape, bool))
    if labels[-1] > HIGHEST_LABEL:
        return above_middle(soft, present)
    if present[-1] == top:
        return _with_void(values, labels, top, soft)
    if labels.size > 1 and _hold_labels(values, labels):
        raise several(labels)
    return above_middle(soft, present)


def _highest(present: np.ndarray) -> int:
    """The value of white, and of void beside labels: 255, 65535, or 220 for VOC's colours that were turned to grey."""
    if present[-1] == VOC_GREYS[-1] and np.isin(present, VOC_GREYS).all():
        return int(VOC_GREYS[-1])
    return 255 if present[-1] <= 255 else 65535


def above_middle(soft: Truth, present: np.ndarray) -> Truth:
    """The soft mask; UserError if it is empty although its values, `present`, vary or are not nearly black.

    Ones everywhere are a full mask by their label, and an empty one by their grey.
    """
    nearly_black = len(present) == 1 and present[0] != 1 and soft.grey.max() <= NEARLY_BLACK
    if nearly_black or (soft.grey > 127).any():
        return soft
    raise UserError(
        f"expected a mask with values up to {255 if present[-1] <= 255 else 65535}, got none above {present[-1]}, as "
        "in a file of labels; set the object to 255, all else to 0"
    )


def several(labels: np.ndarray) -> UserError:
    """The error for labels that leave open which of them are the object."""
    shown = ", ".join(map(str, labels[:5])) + (" ..." if len(labels) > 5 else "")
    return UserError(
        f"expected a mask of one object label, got the labels {shown}, and which of them are the object is not known; "
        "set the object to 255, all else to 0"
    )


def _with_void(values: np.ndarray, labels: np.ndarray, top: int, soft: Truth) -> Truth:
    """A mask with low values and the highest: a soft mask, or labels and void."""
    void, ground = values == top, values == 0
    objects = ~(void | ground)
    enclosed = bool(ground.any()) and _apart(objects, ground)
    if top == VOC_GREYS[-1]:
        return labels_as_truth(objects, void) if enclosed else soft
    if labels[0] > 127:
        return soft
    certain = _hold_labels(values, labels)
    if not ground.any() and labels.size == 1:  # a mask whose ground is not quite black
        return soft
    if enclosed and _is_outline(void):
        readable = certain or objects.sum() >= LEAST * void.sum()
    elif certain:
        readable = enclosed or labels.size == 1
    else:
        return soft
    if not readable:
        raise several(np.array([*labels, top]))
    return labels_as_truth(objects, void)


def _hold_labels(values: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the values are labels: most of them fill flat regions, among them one that is too dark for a grey level.

    A region is flat where all nine pixels around a pixel are equal, as they are not in a soft edge or in noise. Most of
    a label's pixels are; of a file's only label, which may be small, some.
    """
    if labels[0] > NEARLY_BLACK:
        return False
    flat = values[ndimage.minimum_filter(values, 3) == ndimage.maximum_filter(values, 3)]
    inside = np.bincount(flat, minlength=labels[-1] + 1)[labels]
    filled = inside > 0 if labels.size == 1 else 2 * inside >= np.bincount(values.ravel())[labels]
    return bool(filled[labels <= NEARLY_BLACK].any() and 2 * filled.sum() >= labels.size)


def _apart(objects: np.ndarray, ground: np.ndarray) -> bool:
    """Whether next to no pixel on the objects' edges touches the ground, because void lies between."""
    edge = objects & ndimage.binary_dilation(~objects, CROSS)
    touching = objects & ndimage.binary_dilation(ground, CROSS)
    return bool(touching.sum() <= 0.02 * edge.sum())


def _is_outline(void: np.ndarray) -> bool:
    """Whether nearly all void is thin."""
    depth = ndimage.distance_transform_edt(np.pad(void, 1))
    return bool((depth > OUTLINE).sum() <= 0.05 * void.sum())
