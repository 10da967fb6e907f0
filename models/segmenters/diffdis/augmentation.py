"""DiffDIS's training samples: images, masks and edges of masks, augmented as in its released code.

Random numbers come from the generator that is passed in. Knows nothing of latents or networks.

Letters: B samples, H x W their size, S side of the square to which they are resized.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.nn import functional as F

from models.images import resized, resized_soft, stretched

BORDER = 30  # most pixels that a crop removes from a side of 1024 or more; the same share of a smaller side
Sample = tuple[Image.Image, ...]  # image, mask, edge, and void if there is any, of one size


def edges_of(masks: torch.Tensor) -> torch.Tensor:
    """True edges: pixels whose 5x5 neighbourhood contains both object and background. (B, H, W) bool -> the same.

    For binary masks, dilate - erode >= 6 of 255 in the released code is any difference. Pixels outside the image count
    as neither, so an object has no edge at the image's border, and an empty or full mask has no edge.
    """
    values = masks[:, None].float()
    dilated, eroded = F.max_pool2d(values, 5, 1, 2), -F.max_pool2d(-values, 5, 1, 2)
    return (dilated > eroded)[:, 0]


def augmented(
    images: np.ndarray,
    masks: torch.Tensor,
    size: tuple[int, int],
    augment: Literal["released", "paper", "none"],
    rng: np.random.Generator,
    void: torch.Tensor | None = None,
) -> tuple[torch.Tensor, ...]:
    """(B, H, W, 3) uint8 and (B, H, W) bool -> rgb, masks and edges (B, 3, S, S) float32, each stretched to [-1, 1].

    Edges are computed first; then samples are mirrored, cropped, rotated, recoloured and resized, in this order.
    With void, (B, H, W) bool, it is the fourth: (B, 1, S, S) float32 in [0, 1], 0 where rotation left nothing.
    """
    truths = [masks.numpy(), edges_of(masks).numpy(), *([] if void is None else [void.numpy()])]
    pictures: list[np.ndarray] = []
    soft: list[list[np.ndarray]] = [[] for _ in truths]
    for image, *of_image in zip(images, *truths, strict=True):
        sample: Sample = (Image.fromarray(image), *(Image.fromarray(truth * np.uint8(255)) for truth in of_image))
        if augment != "none":
            sample = rotated(cropped(mirrored(sample, rng), rng), rng)
        if augment == "released":
            sample = (recoloured(sample[0], rng), *sample[1:])
        pictures.append(resized(np.asarray(sample[0]), size))
        for picture, resized_truths in zip(sample[1:], soft, strict=True):
            resized_truths.append(resized_soft(np.asarray(picture, np.float32) / 255, size))
    rgb = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    of_masks, of_edges, *of_void = (torch.from_numpy(np.stack(resized_truths))[:, None] for resized_truths in soft)
    learnt = (rgb, of_masks.expand(-1, 3, -1, -1), of_edges.expand(-1, 3, -1, -1))
    return (*(stretched(values) * 2 - 1 for values in learnt), *of_void)


def mirrored(sample: Sample, rng: np.random.Generator) -> Sample:
    """Mirror left to right with probability 0.5."""
    return _each(sample, ImageOps.mirror) if rng.random() < 0.5 else sample


def cropped(sample: Sample, rng: np.random.Generator) -> Sample:
    """Crop the centre, removing up to 30 pixels of each side, or proportionally fewer if it is shorter than 1024."""
    size = sample[0].size
    w, h = (side - int(rng.integers(0, round(BORDER * min(1, side / 1024)) + 1)) for side in size)
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    return _each(sample, lambda picture: picture.crop((x, y, x + w, y + h)))


def rotated(sample: Sample, rng: np.random.Generator) -> Sample:
    """Rotate with probability 0.2, by whole degrees in [-15, 15); the corners become black."""
    if rng.random() >= 0.2:
        return sample
    angle = int(rng.integers(-15, 15))
    return _each(sample, lambda picture: picture.rotate(angle, Image.Resampling.BICUBIC))


def recoloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change brightness and contrast by 0.5 to 1.5, colour by 0 to 2, sharpness by 0 to 3, in tenths."""
    for enhance, low, high in (
        (ImageEnhance.Brightness, 5, 15), (ImageEnhance.Contrast, 5, 15),
        (ImageEnhance.Color, 0, 20), (ImageEnhance.Sharpness, 0, 30),
    ):  # fmt: skip
        image = enhance(image).enhance(int(rng.integers(low, high + 1)) / 10)
    return image


def cutmix_boxes(count: int, side: int, rng: np.random.Generator) -> torch.Tensor:
    """Boxes as masks (B, 1, S, S) bool: half are empty, the others cover 2 to 40 % with aspect ratio 0.3 to 3.33."""
    inside = torch.zeros(count, 1, side, side, dtype=torch.bool)
    for box in inside[:, 0]:
        if rng.random() < 0.5:
            area = rng.uniform(0.02, 0.4) * side**2
            x, y, w, h = _placed(area, side, rng)
            box[y : y + h, x : x + w] = True
    return inside


def cutmixed(pictures: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """CutMix in pairs (0, 1), (2, 3), ...: inside its box each gets the original pixels of its partner.

    pictures: (B, 3, S, S); inside: (B, 1, S, S) bool. The last of an odd number has no partner and is not changed.
    """
    partners = (torch.arange(len(pictures)) ^ 1).clamp(max=len(pictures) - 1)
    return torch.where(inside, pictures[partners], pictures)


def _placed(area: float, side: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A random box of the given area: aspect ratio and corner are drawn until it lies inside; its x, y, w, h."""
    while True:
        aspect = rng.uniform(0.3, 1 / 0.3)
        w, h = int((area / aspect) ** 0.5), int((area * aspect) ** 0.5)
        x, y = (int(corner) for corner in rng.integers(0, side, 2))
        if x + w <= side and y + h <= side:
            return x, y, w, h


def _each(sample: Sample, change: Callable[[Image.Image], Image.Image]) -> Sample:
    return tuple(change(picture) for picture in sample)
