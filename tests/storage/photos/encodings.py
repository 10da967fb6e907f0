"""Masks stored as people store them: each encoding writes one object, and says which pixels it leaves open."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from storage.photos.labels import VOC_COLOURS

Mask = np.ndarray  # (H, W) bool
SIDE = 48
BLACK, WHITE, RED, BLUE, YELLOW = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (255, 255, 0))
STREET = ((128, 64, 128), (244, 35, 232), (70, 70, 70))  # as Cityscapes has them
GREYS = (BLACK, WHITE, *np.repeat(np.arange(254)[::-1, None], 3, axis=1))  # 255 is black too
RIGHT = np.arange(SIDE) > SIDE // 2


def drawn(rng: np.random.Generator) -> Mask:
    """A few overlapping ellipses and boxes of at least 6 pixels: one object, which may reach the border."""
    image = Image.new("1", (SIDE, SIDE))
    for _ in range(rng.integers(1, 4)):
        x, y = rng.integers(0, SIDE - 12, 2)
        w, h = rng.integers(8, 24, 2)
        draw = ImageDraw.Draw(image)
        (draw.ellipse if rng.random() < 0.6 else draw.rectangle)((x, y, x + w, y + h), fill=1)
    return np.asarray(image)


def outline(mask: Mask) -> Mask:
    """VOC's void: five pixels along the object's edge, two inside and two to three outside."""
    return ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_erosion(mask, iterations=2, border_value=1)


def labels(mask: Mask, label: int, void: Mask | None = None, dtype: type = np.uint8, top: int = 255) -> np.ndarray:
    values = np.where(mask, label, 0).astype(dtype)
    if void is not None:
        values[void] = top
    return values


def palette(values: np.ndarray, colours: np.ndarray) -> Image.Image:
    image = Image.fromarray(values.astype(np.uint8), "L").convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return image


def cut_out(mask: Mask, rng: np.random.Generator, hidden: bool) -> np.ndarray:
    """A picture with the object opaque, over the picture's colours or over black: (H, W, 4)."""
    photo = ndimage.gaussian_filter(rng.integers(0, 256, (*mask.shape, 3)).astype(float), (2, 2, 0))
    photo = np.clip((photo - 128) * 6 + 128, 0, 255).astype(np.uint8)
    return np.dstack([np.where(mask[..., None] | hidden, photo, 0), mask * 255]).astype(np.uint8)


def filled(mask: Mask, colour: tuple[int, ...]) -> np.ndarray:
    return mask[..., None] * np.array(colour, np.uint8)


def with_alpha(colours: np.ndarray | int, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3), or (H, W) or one grey level, with its opacity: (H, W, 4)."""
    grey = np.ndim(colours) < 3
    return np.dstack([*([colours + 0 * alpha] * 3 if grey else [colours]), alpha]).astype(np.uint8)


def checks(rng: np.random.Generator) -> np.ndarray:
    """Black and white at random, (H, W, 3)."""
    return np.repeat((rng.random((SIDE, SIDE, 1)) < 0.5) * 255, 3, axis=2)


def voc(mask: Mask, label: int, void: Mask | None = None) -> Image.Image:
    return palette(labels(mask, label, void), VOC_COLOURS)


def stripe(mask: Mask) -> Mask:
    """Void that has nothing to do with the object's edge."""
    rows = np.zeros_like(mask)
    rows[:7] = True
    return rows


# Name -> (mask, rng) -> (picture, void). The suffix follows the name's last dot; PNG without one.
Encoding = Callable[[Mask, np.random.Generator], tuple[Image.Image | np.ndarray, Mask | None]]
ENCODINGS: dict[str, Encoding] = {
    "grey": lambda m, r: (m * np.uint8(255), None),
    "grey.bmp": lambda m, r: (m * np.uint8(255), None),
    "grey.tif": lambda m, r: (m * np.uint8(255), None),
    "grey.jpg": lambda m, r: (m * np.uint8(255), None),
    "grey.webp": lambda m, r: (m * np.uint8(255), None),
    "grey.gif": lambda m, r: (m * np.uint8(255), None),
    "grey.pgm": lambda m, r: (m * np.uint8(255), None),
    "one bit": lambda m, r: (Image.fromarray(m), None),
    "one bit.tif": lambda m, r: (Image.fromarray(m), None),
    "one bit.pbm": lambda m, r: (Image.fromarray(m), None),
    "colour": lambda m, r: (filled(m, WHITE), None),
    "inks.tif": lambda m, r: (Image.fromarray(m * np.uint8(255)).convert("CMYK"), None),
    "inks.jpg": lambda m, r: (Image.fromarray(m * np.uint8(255)).convert("CMYK"), None),
    "deep 65535": lambda m, r: (m * np.uint16(65535), None),
    "deep 65535.tif": lambda m, r: (m * np.uint16(65535), None),
    "deep 255": lambda m, r: (m * np.uint16(255), None),
    "deep 255.tif": lambda m, r: (m * np.uint16(255), None),
    "deep 255.pgm": lambda m, r: (m * np.uint16(255), None),
    "deep 1": lambda m, r: (m * np.uint16(1), None),
    "deep 4095": lambda m, r: (m * np.uint16(4095), None),
    "deep label, void 255": lambda m, r: (labels(m, 3, outline(m), np.uint16), outline(m)),
    "deep label, void 65535": lambda m, r: (labels(m, 3, outline(m), np.uint16, 65535), outline(m)),
    "float.tif": lambda m, r: (m.astype(np.float32), None),
    "ones": lambda m, r: (m * np.uint8(1), None),
    "ones.jpg": lambda m, r: (m * np.uint8(1), None),
    "label": lambda m, r: (labels(m, int(r.integers(1, 128))), None),
    "label, void outline": lambda m, r: (labels(m, int(r.integers(1, 91)), outline(m)), outline(m)),
    "label, void stripe": lambda m, r: (labels(m, int(r.integers(1, 21)), stripe(m)), stripe(m)),
    "labels 1 and 2": lambda m, r: (np.where(m, 1 + RIGHT, 0).astype(np.uint8), None),
    "labels 1 and 2, outlined": lambda m, r: (
        np.where(outline(m), 255, np.where(m, 1 + RIGHT, 0)).astype(np.uint8),
        outline(m),
    ),
    "labels 1 and 9, void stripe": lambda m, r: (
        np.where(stripe(m), 255, np.where(m, 1 + 8 * RIGHT, 0)).astype(np.uint8),
        stripe(m),
    ),
    "VOC palette": lambda m, r: (voc(m, int(r.integers(1, 21)), outline(m)), outline(m)),
    "VOC palette, instances": lambda m, r: (
        voc(m, 1, outline(m)) if r.random() < 0.5 else palette(np.where(m, 1 + RIGHT, 0), VOC_COLOURS),
        None,
    ),
    "VOC palette, ground transparent": lambda m, r: (voc(m, 5, outline(m)), outline(m)),
    "VOC colour": lambda m, r: (voc(m, int(r.integers(1, 21)), outline(m)).convert("RGB"), outline(m)),
    "VOC colour.jpg": lambda m, r: (voc(m, 1, outline(m)).convert("RGB"), outline(m)),
    "VOC grey": lambda m, r: (voc(m, int(r.integers(1, 21)), outline(m)).convert("L"), outline(m)),
    "black and white palette": lambda m, r: (palette(m, [[0] * 3, [255] * 3]), None),
    "white and black palette": lambda m, r: (palette(~m, [[255] * 3, [0] * 3]), None),
    "red palette": lambda m, r: (palette(m, [[0] * 3, [255, 0, 0]]), None),
    "palette of two": lambda m, r: (palette(m * (1 + RIGHT), (BLACK, RED, YELLOW)), None),
    "palette without colours": lambda m, r: (palette(m, [[0] * 3] * 256), None),
    "palette with white and void": lambda m, r: (palette(labels(m, 1, outline(m)), GREYS), outline(m)),
    "palette of streets": lambda m, r: (palette(m, STREET), None),
    "red": lambda m, r: (filled(m, RED), None),
    "red.jpg": lambda m, r: (filled(m, RED), None),
    "blue and yellow": lambda m, r: (np.where(RIGHT[:, None], filled(m, BLUE), filled(m, YELLOW)), None),
    "alpha, black": lambda m, r: (with_alpha(0, m * 255), None),
    "alpha, white": lambda m, r: (with_alpha(255, m * 255), None),
    "alpha, black on white": lambda m, r: (with_alpha(255 - 255 * m, m * 255), None),
    "alpha, grey and alpha": lambda m, r: (Image.fromarray(np.dstack([0 * m, m * 255]).astype(np.uint8)), None),
    "alpha.webp": lambda m, r: (with_alpha(0, m * 255), None),
    "alpha.tif": lambda m, r: (with_alpha(0, m * 255), None),
    "alpha of ones": lambda m, r: (with_alpha(0, m), None),
    "alpha half": lambda m, r: (with_alpha(255 * m, 100 + 0 * m), None),
    "alpha 128 to 255": lambda m, r: (with_alpha(0, 128 + 127 * m), None),
    "cut-out on black": lambda m, r: (cut_out(m, r, hidden=False), None),
    "cut-out over its photo": lambda m, r: (cut_out(m, r, hidden=True), None),
    "cut-out.webp": lambda m, r: (cut_out(m, r, hidden=True), None),
    "cut-out, palette": lambda m, r: (Image.fromarray(cut_out(m, r, hidden=False)).quantize(64), None),
    "cut-out, black and white": lambda m, r: (with_alpha(checks(r), m * 255), None),
    "opaque": lambda m, r: (with_alpha(255 * m, 255 + 0 * m), None),
    "opaque, a corner transparent": lambda m, r: (with_alpha(255 * m, 255 * ~stripe(m)), None),
    "photo, all transparent": lambda m, r: (cut_out(m, r, hidden=True) * np.array([1, 1, 1, 0], np.uint8), None),
}  # fmt: skip
OPTIONS = {"VOC palette, ground transparent": {"transparency": 0}}


def saved(name: str, mask: Mask, rng: np.random.Generator, folder: Path) -> tuple[Path, Mask | None]:
    """Write an encoding's file; its path and its void."""
    image, void = ENCODINGS[name](mask, rng)
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    path = folder / f"mask{Path(name).suffix or '.png'}"
    image.save(path, **OPTIONS.get(name, {}))
    return path, void
