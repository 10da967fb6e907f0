"""Photographs and masks from picture files, by stated rules. Knows nothing of what they are for.

The rules, for both: the first frame of an animation; turned upright as EXIF says; 16-bit grey by its high byte (as
Pillow reads 16-bit colour); CMYK, palettes and the like to RGB by Pillow's plain conversion, ICC profiles unused.
"""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from models.errors import UserError

# Files with other suffixes are not looked at in a folder.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".jp2")

LOSSY = (".jpg", ".jpeg", ".webp")


def read_photo(path: Path) -> np.ndarray:
    """A photo as (H, W, 3) uint8 RGB, whatever its size; transparent parts lie on white.

    UserError naming the file where it cannot be read in full.
    """
    return _rgb(_upright(path), background=255)


def read_mask(path: Path) -> np.ndarray:
    """A mask as (H, W) bool: `read_grey_mask` above 127."""
    return read_grey_mask(path) > 127


def read_grey_mask(path: Path) -> np.ndarray:
    """A mask's grey, (H, W) uint8, of colour its luma; transparent parts are background, 0.

    UserError naming the file where it cannot be read in full, or holds labels, as 0 and 1, instead of grey values:
    what was stored without loss, varies or is all 1, and has nothing above 127.
    """
    image = _upright(path)
    grey = np.asarray(Image.fromarray(_rgb(image, background=0)).convert("L"))
    grey_file = image.mode == "L" or image.mode.startswith("I")  # a 16-bit file's labels are lost with its low byte
    values = np.asarray(image) if grey_file else grey
    highest = values.max()
    # An empty mask may be not quite black; one of ones is full, by its label.
    faint = path.suffix.lower() in LOSSY or (values.min() == highest and highest != 1)
    if not (faint or (grey > 127).any()):
        raise UserError(
            f"{path}: expected a mask with values up to 255, got none above {highest}, as labels have; make the "
            "object's 255, all else 0"
        )
    return grey


def is_picture(path: Path) -> bool:
    """Whether a file begins as a picture does; its pixels are not read."""
    try:
        with Image.open(path):
            return True
    except Exception:  # of Pillow's decoders, which have no error in common
        return False


def same_size(one: Path, other: Path) -> bool:
    """Whether two pictures are of one size by their headers, upright where they differ; True of unreadable ones."""
    try:
        with Image.open(one) as a, Image.open(other) as b:
            return a.size == b.size or _upright_size(a) == _upright_size(b)
    except Exception:  # as in is_picture
        return True


def _upright_size(image: Image.Image) -> tuple[int, int]:
    on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
    return image.size[::-1] if on_its_side else image.size


def _upright(path: Path) -> Image.Image:
    """The picture as it should be looked at, in one of Pillow's modes of 8 or 16 bits."""
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # of Pillow's decoders: damaged, of no kind it knows, or above its limit
        raise UserError(f"{path}: expected a picture, got what cannot be read as one ({error})") from error
    if upright.mode == "F" or (upright.mode == "I" and image.format != "PPM"):  # 16-bit PGM is opened as I
        raise UserError(f"{path}: expected a picture of 8 or 16 bits, got one of 32; convert it first")
    return upright


def _rgb(image: Image.Image, background: int) -> np.ndarray:
    """(H, W, 3) uint8, transparent parts on the grey level `background`."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (background,) * 3 + (255,)), image)
    return np.array(image.convert("RGB"))
