"""Photographs and masks from picture files. Knows nothing of their use.

The rules for both: the first frame of an animation; rotated upright by EXIF; 16-bit grey reduced to its high byte (as
Pillow reads 16-bit colour); CMYK, palettes and similar modes to RGB by Pillow's plain conversion, without ICC profiles.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from models.errors import UserError
from storage.photos.labels import Truth
from storage.photos.meaning import truth_of

# Files with these suffixes are taken for pictures, whatever they hold.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".jp2")

LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")  # formats, as Pillow names them
# Formats that Pillow does not read: their name, and what their files begin with, from which byte.
UNREAD = (
    ("HEIC", 4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")),
    ("JPEG XL", 0, (b"\x00\x00\x00\x0cJXL ", b"\xff\x0a")),
)


def read_photo(path: Path) -> np.ndarray:
    """A photo as (H, W, 3) uint8 RGB of its native size, on a white background if transparent.

    UserError if the file cannot be read completely.
    """
    return _rgb(_upright(path))


def read_mask(path: Path) -> np.ndarray:
    """A mask as (H, W) bool: `read_grey_mask` above 127."""
    return read_grey_mask(path) > 127


def read_grey_mask(path: Path) -> np.ndarray:
    """A mask's grey values, (H, W) uint8: those of `read_truth`; pixels that are not judged are 0."""
    return read_truth(path).grey


def read_truth(path: Path) -> Truth:
    """A mask and its pixels that are not judged, by the meaning of its file's pixels (`storage.photos.meaning`).

    UserError if the file cannot be read completely, or its meaning is not certain.
    """
    image, (lossy, deep) = _upright(path), _encoding(path)
    try:
        truth = truth_of(image, lossy)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if deep and truth.void is None and not (truth.grey > 127).any():
        raise UserError(
            f"{path}: expected a mask, got a file with 16 bits per colour that is black in the 8 bits that can be "
            "read; store it as grey of 8 bits, with the object 255, all else 0"
        )
    return truth


def is_picture(path: Path) -> bool:
    """Whether a file has the header of a picture; its pixels are not read."""
    try:
        with Image.open(path):
            return True
    except Exception:  # from Pillow's decoders, which share no base error
        return False


def unread_format(path: Path) -> str:
    """'HEIC, which is not read (...)' for a file of a format that Pillow does not read, by its first bytes; else ''."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return ""
    for name, start, beginnings in UNREAD:
        if head[start:].startswith(beginnings):
            return f"{name}, which is not read (convert it to JPEG or PNG)"
    return ""


def same_size(one: Path, other: Path) -> bool:
    """Whether two pictures have the same size by their headers, as stored or upright; True if one is unreadable."""
    try:
        with Image.open(one) as a, Image.open(other) as b:
            return a.size == b.size or _upright_size(a) == _upright_size(b)
    except Exception:  # as in is_picture
        return True


def _encoding(path: Path) -> tuple[bool, bool]:
    """Whether a picture's format changes its values a little, and whether it has colours of 16 bits, read as 8."""
    with Image.open(path) as image:
        deep = image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in image.tile)
        return image.format in LOSSY, deep


def header_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of an upright picture by its header, None if that is unreadable; remembered while it stays."""
    try:
        stat = path.stat()
        return _header_size(path, stat.st_mtime_ns, stat.st_size)
    except Exception:  # as in is_picture
        return None


@lru_cache(maxsize=2**18)
def _header_size(path: Path, mtime: int, size: int) -> tuple[int, int]:
    with Image.open(path) as image:
        # Pillow decodes a whole PNG to look for an EXIF that its header does not have.
        plain = image.format == "PNG" and "exif" not in image.info
        return image.size if plain else _upright_size(image)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
    return image.size[::-1] if on_its_side else image.size


def _upright(path: Path) -> Image.Image:
    """The picture rotated upright, in one of Pillow's modes of 8 or 16 bits."""
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # from Pillow's decoders: damaged, of an unknown format, or above its size limit
        why = unread_format(path) or error
        raise UserError(f"{path}: expected a picture, got an unreadable file ({why})") from error
    if upright.mode == "F" or (upright.mode == "I" and image.format != "PPM"):  # 16-bit PGM is opened as I
        raise UserError(f"{path}: expected a picture of 8 or 16 bits, got one of 32; convert it first")
    return upright


def _rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8, with transparent parts blended onto white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
