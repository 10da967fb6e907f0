"""What DiffDIS learns from: images, masks and masks' edges, altered at random as its released code alters them.

Random numbers come from the generator that is handed over. Knows nothing of latents or networks.

Letters: B samples, H x W their own size, S the side of the square they are brought to.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.nn import functional as F

from models.images import resized, resized_soft, stretched

BORDER = 30  # pixels that a crop takes at most off a side of 1024 or more; of a smaller side the same share
Sample = tuple[Image.Image, Image.Image, Image.Image]  # image, mask and edge, of one size


def edges_of(masks: torch.Tensor) -> torch.Tensor:
    """Edge truth: where the 5x5 square around a pixel holds both object and ground. (B, H, W) bool -> the same.

    The released dilate - erode >= 6 of 255 is, for masks of two values, any difference. What lies outside the image is
    neither, so that an object which the image cuts off has no edge there, and an empty or full mask none at all.
    """
    values = masks[:, None].float()
    dilated, eroded = F.max_pool2d(values, 5, 1, 2), -F.max_pool2d(-values, 5, 1, 2)
    return (dilated > eroded)[:, 0]


def augmented(
    images: np.ndarray,
    masks: torch.Tensor,
    size: tuple[int, int],
    kind: Literal["released", "paper", "none"],
    rng: np.random.Generator,
) -> tuple[torch.Tensor, ...]:
    """(B, H, W, 3) uint8 and (B, H, W) bool -> rgb, masks and edges (B, 3, S, S) float32, each stretched to [-1, 1].

    Mirrored, cropped, turned, coloured and squashed, in this order; edges are taken before.
    """
    pictures: list[np.ndarray] = []
    soft: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])  # masks, edges
    for image, mask, edge in zip(images, masks.numpy(), edges_of(masks).numpy(), strict=True):
        sample = (Image.fromarray(image), Image.fromarray(mask * np.uint8(255)), Image.fromarray(edge * np.uint8(255)))
        if kind != "none":
            sample = turned(cropped(mirrored(sample, rng), rng), rng)
        if kind == "released":
            sample = (coloured(sample[0], rng), *sample[1:])
        pictures.append(resized(np.asarray(sample[0]), size))
        for picture, into in zip(sample[1:], soft, strict=True):
            into.append(resized_soft(np.asarray(picture, np.float32) / 255, size))
    rgb = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    truths = [torch.from_numpy(np.stack(each))[:, None].expand(-1, 3, -1, -1) for each in soft]
    return tuple(stretched(each) * 2 - 1 for each in (rgb, *truths))


def mirrored(sample: Sample, rng: np.random.Generator) -> Sample:
    """Half of the samples, left to right."""
    return _each(sample, ImageOps.mirror) if rng.random() < 0.5 else sample


def cropped(sample: Sample, rng: np.random.Generator) -> Sample:
    """The middle, less up to 30 pixels of each side's length; less in proportion of a side shorter than 1024."""
    size = sample[0].size
    w, h = (side - int(rng.integers(0, round(BORDER * min(1, side / 1024)) + 1)) for side in size)
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    return _each(sample, lambda picture: picture.crop((x, y, x + w, y + h)))


def turned(sample: Sample, rng: np.random.Generator) -> Sample:
    """One in five, by whole degrees in [-15, 15); what comes in from outside is black."""
    if rng.random() >= 0.2:
        return sample
    angle = int(rng.integers(-15, 15))
    return _each(sample, lambda picture: picture.rotate(angle, Image.Resampling.BICUBIC))


def coloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness and contrast of 0.5 to 1.5, colour of 0 to 2, sharpness of 0 to 3, in tenths."""
    for enhance, low, high in (
        (ImageEnhance.Brightness, 5, 15), (ImageEnhance.Contrast, 5, 15),
        (ImageEnhance.Color, 0, 20), (ImageEnhance.Sharpness, 0, 30),
    ):  # fmt: skip
        image = enhance(image).enhance(int(rng.integers(low, high + 1)) / 10)
    return image


def cutmix_boxes(count: int, side: int, rng: np.random.Generator) -> torch.Tensor:
    """Boxes as masks (B, 1, S, S) bool: half of them empty, the others of 2 to 40 % of the area, aspect 0.3 to 3.33."""
    inside = torch.zeros(count, 1, side, side, dtype=torch.bool)
    for box in inside[:, 0]:
        if rng.random() < 0.5:
            area = rng.uniform(0.02, 0.4) * side**2
            x, y, w, h = _placed(area, side, rng)
            box[y : y + h, x : x + w] = True
    return inside


def cutmixed(pictures: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """CutMix in pairs (0, 1), (2, 3), ...: each holds inside its own box what its partner held at first.

    pictures: (B, 3, S, S); inside: (B, 1, S, S) bool. The last of an odd number has no partner and stays as it is.
    """
    partners = (torch.arange(len(pictures)) ^ 1).clamp(max=len(pictures) - 1)
    return torch.where(inside, pictures[partners], pictures)


def _placed(area: float, side: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Aspect and corner drawn until the box lies inside: its x, y, w, h."""
    while True:
        aspect = rng.uniform(0.3, 1 / 0.3)
        w, h = int((area / aspect) ** 0.5), int((area * aspect) ** 0.5)
        x, y = (int(corner) for corner in rng.integers(0, side, 2))
        if x + w <= side and y + h <= side:
            return x, y, w, h


def _each(sample: Sample, change: Callable[[Image.Image], Image.Image]) -> Sample:
    image, mask, edge = sample
    return change(image), change(mask), change(edge)
