"""What a mask's pixels mean, by its transparency and its colours; labels in grey are left to `storage.photos.labels`.

docs/benchmark-folders.md states the rules. A picture in, a truth out; errors lack the file's name. Opens no file.
"""

import numpy as np
from PIL import Image

from models.errors import UserError
from storage.photos.labels import (
    FEW,
    NEARLY_BLACK,
    VOC_COLOURS,
    VOC_LABELS,
    Truth,
    above_middle,
    grey_truth,
    labels_as_truth,
    several,
)

BLOCK = 8  # side in pixels of what JPEG compresses together
VOC_VOID = tuple(VOC_COLOURS[255])


def truth_of(image: Image.Image, lossy: bool) -> Truth:
    """The truth in a picture, upright, in one of Pillow's modes of 8 or 16 bits.

    lossy: whether its file changes values a little, as JPEG's. UserError if the picture is no mask, or could be read
    in two ways.
    """
    if image.mode.startswith("I"):
        return grey_truth(np.asarray(image))
    if image.mode in ("1", "L") and not image.has_transparency_data:
        grey = np.asarray(image.convert("L"))
        return _of_lossy(grey[..., None], grey) if lossy else grey_truth(grey)
    if image.mode == "P" and not lossy and (truth := _of_palette(image)) is not None:
        return truth
    if image.has_transparency_data:
        return _of_transparency(image, lossy)
    return _of_colours(np.asarray(image.convert("RGB")), lossy)


def _of_palette(image: Image.Image) -> Truth | None:
    """The truth of a file of labels with a colour for each; None for other uses of a palette.

    Label 0, black or transparent, is the ground and 255 is void, as VOC has it; any other is an object.
    """
    indices = np.asarray(image)
    used = np.flatnonzero(np.bincount(indices.ravel()))
    table = np.zeros((256, 4), np.uint8)
    colours = np.reshape(image.getpalette("RGBA") or [], (-1, 4))
    table[: len(colours)] = colours
    table[:, 3] = _alpha_of_palette(image, table[:, 3])
    if len(np.unique(table[used], axis=0)) < used.size:  # its palette is not that of its labels
        return grey_truth(indices)
    of_labels, ground = table[used[used > 0]], table[0]
    ground_first = ground[3] == 0 or not ground[:3].any()
    if not (ground_first and of_labels.size and used.size <= FEW and (of_labels[:, 3] == 255).all()):
        return None
    colours = of_labels[:, :3]
    in_voc = bool((colours == VOC_COLOURS[used[used > 0]]).all())
    if set(used) <= {0, 255}:
        if in_voc:
            raise _only_void()
        return None
    ramp = (colours == used[used > 0][:, None]).all()
    if in_voc or (255 in used and not ramp) or _hues(colours) > 1:
        return labels_as_truth((indices > 0) & (indices < 255), indices == 255)
    return None


def _alpha_of_palette(image: Image.Image, alpha: np.ndarray) -> np.ndarray:
    """The opacity of each of 256 entries, uint8, by the file's list of opacities or its transparent entry."""
    key = image.info.get("transparency")
    if key is None:
        return alpha if image.palette is not None and image.palette.mode == "RGBA" else np.full(256, 255, np.uint8)
    opacity = np.full(256, 255, np.uint8)
    if isinstance(key, bytes):
        opacity[: len(key)] = np.frombuffer(key, np.uint8)
    else:
        opacity[key] = 0
    return opacity


def _of_transparency(image: Image.Image, lossy: bool) -> Truth:
    """The truth of a picture with transparency: the opaque part, unless all is opaque or the colours hold a mask."""
    keyed = "A" not in image.mode.upper() and image.mode != "P"  # one of its colours is declared transparent
    straight = image.convert("LA") if image.mode == "La" else image
    rgba = np.asarray(straight.convert("RGBA"))
    colours, alpha = rgba[..., :3], rgba[..., 3]
    low, high = int(alpha.min()), int(alpha.max())
    if high == 0:
        if colours.min() != colours.max():
            raise UserError(
                "expected a mask, got a picture that is transparent everywhere, over colours that vary; remove its "
                "transparency, or store the mask alone"
            )
        return Truth(np.zeros(alpha.shape, np.uint8))
    if low == high or low > 127:  # no part is transparent
        truth = _of_colours(colours, lossy)
        if low == high or truth.grey.min() != truth.grey.max():
            return truth
        raise UserError(
            f"expected a mask, got one colour with opacities from {low} to {high} of 255; store the mask alone, with "
            "the object 255, all else 0"
        )
    if high <= 127:
        return grey_truth(alpha)
    shown, hidden = colours[alpha > 127], colours[alpha <= 127]
    if _is_black_and_white(shown) or (keyed and shown.max() <= NEARLY_BLACK and hidden.min() >= 255 - NEARLY_BLACK):
        raise UserError(
            "expected a mask in the colours or in the transparency, got another in each; remove the transparency if "
            "white is the object, or store the transparency alone as grey if the opaque part is"
        )
    return Truth(alpha)


def _is_black_and_white(colours: np.ndarray) -> bool:
    """Whether colours, (n, 3), are a mask's: nearly all are black or white, and there are both."""
    black = (colours <= NEARLY_BLACK).all(axis=1).mean()
    white = (colours >= 255 - NEARLY_BLACK).all(axis=1).mean()
    return bool(black + white >= 0.9 and min(black, white) >= 0.01)


def _of_colours(colours: np.ndarray, lossy: bool) -> Truth:
    """The truth in opaque colours, (H, W, 3) uint8: grey, their luma, or labels that have a colour each."""
    luma = np.asarray(Image.fromarray(colours).convert("L"))
    if lossy:
        return _of_lossy(colours, luma)
    if all(np.array_equal(colours[..., 0], colours[..., other]) for other in (1, 2)):
        return grey_truth(luma)
    codes = colours.astype(np.int32) @ (1 << 16, 1 << 8, 1)
    present = np.unique(codes)
    if present[0] != 0 or present.size > FEW + 1:  # no ground, or blends of colours
        return above_middle(Truth(luma), np.unique(luma))
    labels = present[1:]
    of_labels = np.stack([labels >> 16, labels >> 8 & 255, labels & 255], axis=1)
    in_voc = np.isin(labels, VOC_COLOURS[[*VOC_LABELS]].astype(np.int32) @ (1 << 16, 1 << 8, 1)).all()
    is_void = (of_labels == VOC_VOID).all(axis=1)
    if in_voc and (is_void.any() or labels.size > 1):
        if is_void.all():
            raise _only_void()
        return labels_as_truth(np.isin(codes, labels[~is_void]), np.isin(codes, labels[is_void]))
    bright = luma > 127
    if labels.size == 1 and not bright.any():
        return labels_as_truth(codes > 0, np.zeros(codes.shape, bool))
    if _hues(of_labels) > 1 and not (bright == (codes > 0)).all():
        raise several(np.array([f"#{label:06x}" for label in labels]))
    return above_middle(Truth(luma), np.unique(luma))


def _hues(colours: np.ndarray) -> int:
    """1 if the colours, (n, 3), are one of any brightness, or grey; else 2."""
    brightest = colours[colours.sum(axis=1).argmax()].astype(float)
    share = colours.max(axis=1, keepdims=True) / max(brightest.max(), 1)
    return 1 if (np.abs(colours - share * brightest) <= 3).all() else 2


def _of_lossy(colours: np.ndarray, luma: np.ndarray) -> Truth:
    """The truth of a file that changes values a little: its luma. UserError if some of the object would be lost."""
    if not (luma > 127).any():
        if luma.max() <= NEARLY_BLACK and not _has_flat_regions(luma):
            return Truth(luma)
        raise UserError(
            f"expected a mask with values up to 255, got none above {luma.max()}, as in a file of labels; set the "
            "object to 255, all else to 0, and store it as PNG"
        )
    chroma = colours.max(axis=2).astype(int) - colours.min(axis=2)
    if min(((chroma > 64) & (luma <= 127)).mean(), (colours.max(axis=2) <= 2 * NEARLY_BLACK).mean()) > 0.01:
        raise UserError(
            "expected a mask in black and white, got dark colours beside black and bright ones, as in a file of "
            "labels; set the object to 255, all else to 0, and store it as PNG"
        )
    return Truth(luma)


def _has_flat_regions(luma: np.ndarray) -> bool:
    """Whether blocks are constant, of more than one value, as in faint labels and not in noise."""
    height, width = (side // BLOCK * BLOCK for side in luma.shape)
    blocks = luma[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    return bool(np.unique(low[low == high]).size > 1)


def _only_void() -> UserError:
    return UserError(
        "expected a mask, got ground and void (VOC's 255, not judged) alone; add the object's label, or remove the pair"
    )
