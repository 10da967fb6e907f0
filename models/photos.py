"""AttentionCut of photographs of any size: bring them to the backbone's size, invert, reconstruct, cut at their own.

Knows nothing of files. Letters: H, W the photo's own size; S, T the size it has for the backbone; h, w attention grid.

A photo goes to the backbone at about its native area and the photo's aspect, as far as sides that are multiples of
`facts.multiple` allow (`backbone_size`). The cut sees the photo at its own size, brought to MAX_SIDE where its longer
side passes that; mask and soft map are then enlarged.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from PIL import Image

from models.backbone.inversion import encode, invert_latents, reconstruct_with_capture, reconstruction_psnr
from models.backbone.protocol import Backbone, BackboneFacts
from models.backbone.sampling import OnStep, Sampled
from models.batching import in_batches
from models.clip.categories import prompt_of
from models.config.cut import CutConfig
from models.config.photos import MaskConfig
from models.cut.attentioncut import Evidence, cut
from models.images import resized

MAX_SIDE = 2048  # pixels of the longer side, above which a photo is cut at a reduced size
Size = tuple[int, int]


@dataclass(frozen=True)
class PhotoMask:
    """The mask of one photo.

    mask: (H, W) bool; objectness: (H, W) uint8, of [0, 1]; small, small_mask: photo (H', W', 3) uint8 and mask (H', W')
    bool at the size of the cut, for showing; uncertainty in [0, 1].
    """

    mask: np.ndarray
    objectness: np.ndarray
    small: np.ndarray
    small_mask: np.ndarray
    uncertainty: float


def backbone_size(own: Size, facts: BackboneFacts) -> Size:
    """The size (S, T) nearest to a photo's own aspect and the backbone's native area, both by the logarithm.

    At most twice the native area, so that of a panorama's aspect only a part is kept.
    """
    units = facts.image_size[0] * facts.image_size[1] // facts.multiple**2
    sizes = [(a, b) for a in range(1, 2 * units + 1) for b in range(1, 2 * units // a + 1)]

    def error(size: Size) -> float:
        a, b = size
        return log(b / a * own[0] / own[1]) ** 2 + log(a * b / units) ** 2

    a, b = min(reversed(sizes), key=error)  # of two alike the larger
    return a * facts.multiple, b * facts.multiple


def reconstruct_photos(
    backbone: Backbone, images: np.ndarray, categories: list[str], config: MaskConfig, on_step: OnStep | None = None
) -> list[tuple[Sampled, float]]:
    """Invert and reconstruct (B, S, T, 3) uint8: evidence, and the reconstruction's PSNR in dB, of each image.

    In batches of at most `run.batch_size`, halved where memory runs out. on_step counts the steps of all images:
    (done, 2 * B * steps). Of an image that is not finite the PSNR is NaN.
    """
    steps = config.sampling.steps

    def make(rows: slice) -> list[tuple[Sampled, float]]:
        part, names = images[rows], categories[rows]

        def report(before: int) -> OnStep:
            return lambda step, _: on_step and on_step(2 * rows.start * steps + len(part) * (before + step), total)

        prompts = [prompt_of(name) for name in names]
        clean = encode(backbone, part)
        noisy = invert_latents(backbone, clean, prompts, steps, report(0))
        made = reconstruct_with_capture(backbone, noisy, prompts, names, config.sampling, config.cut, report(steps))
        errors = reconstruction_psnr(backbone, clean, made)
        return [(m, float(e) if m.finite else float("nan")) for m, e in zip(made, errors, strict=True)]

    total = 2 * len(images) * steps
    return in_batches(len(images), config.run.batch_size, make)


def cut_photo(photo: np.ndarray, evidence: Evidence, size: Size, config: CutConfig) -> PhotoMask:
    """Cut a photo (H, W, 3) uint8 whose evidence was recorded at the backbone's size (S, T)."""
    at = cut_size(photo.shape[:2], size, evidence.class_map.shape)
    small = resized(photo, at)
    found = cut(small, evidence, at_size(config, size, at))
    soft = _brought_to(photo.shape[:2], found.objectness, Image.Resampling.BILINEAR)
    return PhotoMask(
        mask=_brought_to(photo.shape[:2], found.mask.astype(np.uint8), Image.Resampling.NEAREST) > 0,
        objectness=np.rint(np.clip(soft, 0, 1) * 255).astype(np.uint8),
        small=small,
        small_mask=found.mask,
        uncertainty=found.uncertainty,
    )


def cut_size(own: Size, size: Size, grid: Size) -> Size:
    """The size a photo of size `own` is cut at: its own, or with MAX_SIDE as its longer side if that is smaller.

    The backbone's size (S, T) where the photo would have fewer pixels than the attention has cells.
    """
    scale = min(1, MAX_SIDE / max(own))
    height, width = (round(side * scale) for side in own)
    return (height, width) if height >= grid[0] and width >= grid[1] else size


def at_size(config: CutConfig, size: Size, at: Size) -> CutConfig:
    """The config of a cut at a size other than the backbone's, for which lambda is stated.

    Unaries grow with the area and edges with the length, so without this a large photo would be cut with less
    smoothing than a small one, and with little at all on the coarse grid.
    """
    factor = sqrt(at[0] * at[1] / (size[0] * size[1]))
    return config.model_copy(update={"lambda_": config.lambda_ * factor})


def _brought_to(size: Size, values: np.ndarray, how: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize(size[::-1], how))
