"""AttentionCut of photographs of any size: resize to the backbone's size, invert, reconstruct, cut at full size.

Knows nothing of files. Letters: H, W the photo's size; S, T its size for the backbone; h, w attention grid.

For the backbone, a photo is resized to about the backbone's native area and the photo's aspect ratio, with sides that
are multiples of `facts.multiple` (`backbone_size`). The cut uses the photo's size; if its longer side exceeds MAX_SIDE,
the photo is cut at that size, and mask and soft map are then enlarged.
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

MAX_SIDE = 2048  # pixels; a photo with a longer side is cut at a reduced size
Size = tuple[int, int]


@dataclass(frozen=True)
class PhotoMask:
    """The mask of one photo.

    mask: (H, W) bool; objectness: (H, W) uint8, 255 for 1; small, small_mask: photo (H', W', 3) uint8 and mask (H', W')
    bool at the size of the cut, for display; uncertainty in [0, 1].
    """

    mask: np.ndarray
    objectness: np.ndarray
    small: np.ndarray
    small_mask: np.ndarray
    uncertainty: float


def backbone_size(photo_size: Size, facts: BackboneFacts) -> Size:
    """The size (S, T) closest to the photo's aspect ratio and the backbone's native area, both in logarithms.

    At most twice the native area, so a panorama's aspect ratio is only approximated.
    """
    units = facts.image_size[0] * facts.image_size[1] // facts.multiple**2
    sizes = [(a, b) for a in range(1, 2 * units + 1) for b in range(1, 2 * units // a + 1)]

    def error(size: Size) -> float:
        a, b = size
        return log(b / a * photo_size[0] / photo_size[1]) ** 2 + log(a * b / units) ** 2

    a, b = min(reversed(sizes), key=error)  # the larger one of two with the same error
    return a * facts.multiple, b * facts.multiple


def reconstruct_photos(
    backbone: Backbone, images: np.ndarray, categories: list[str], config: MaskConfig, on_step: OnStep | None = None
) -> list[tuple[Sampled, float]]:
    """Invert and reconstruct (B, S, T, 3) uint8: evidence, and the reconstruction's PSNR in dB, of each image.

    In batches of at most `run.batch_size`, halved when memory runs out. on_step counts the steps of all images:
    (done, 2 * B * steps). The PSNR of an image that is not finite is NaN.
    """
    steps = config.sampling.steps

    def make(rows: slice) -> list[tuple[Sampled, float]]:
        part, names = images[rows], categories[rows]

        def report(before: int) -> OnStep:
            return lambda step, _: on_step and on_step(2 * rows.start * steps + len(part) * (before + step), total)

        prompts = [prompt_of(name) for name in names]
        clean = encode(backbone, part)
        noisy = invert_latents(backbone, clean, prompts, steps, report(0))
        samples = reconstruct_with_capture(backbone, noisy, prompts, names, config.sampling, config.cut, report(steps))
        psnrs = reconstruction_psnr(backbone, clean, samples)
        return [(s, float(psnr) if s.finite else float("nan")) for s, psnr in zip(samples, psnrs, strict=True)]

    total = 2 * len(images) * steps
    return in_batches(len(images), config.run.batch_size, make)


def cut_photo(photo: np.ndarray, evidence: Evidence, size: Size, config: CutConfig) -> PhotoMask:
    """Cut a photo (H, W, 3) uint8 whose evidence was recorded at the backbone's size (S, T)."""
    at = cut_size(photo.shape[:2], size, evidence.class_map.shape)
    small = resized(photo, at)
    result = cut(small, evidence, at_size(config, size, at))
    soft = _resized_to(photo.shape[:2], result.objectness, Image.Resampling.BILINEAR)
    return PhotoMask(
        mask=_resized_to(photo.shape[:2], result.mask.astype(np.uint8), Image.Resampling.NEAREST) > 0,
        objectness=np.rint(np.clip(soft, 0, 1) * 255).astype(np.uint8),
        small=small,
        small_mask=result.mask,
        uncertainty=result.uncertainty,
    )


def cut_size(photo_size: Size, size: Size, grid: Size) -> Size:
    """The size at which a photo is cut: `photo_size`, reduced if its longer side exceeds MAX_SIDE.

    The backbone's size (S, T) if the photo would have fewer pixels than the attention has cells along a side.
    """
    scale = min(1, MAX_SIDE / max(photo_size))
    height, width = (round(side * scale) for side in photo_size)
    return (height, width) if height >= grid[0] and width >= grid[1] else size


def at_size(config: CutConfig, size: Size, at: Size) -> CutConfig:
    """The config for a cut at the size `at`: lambda is given for the backbone's size and scales with the side.

    Unaries grow with the area but edges with the length, so without this a large photo would be smoothed less than a
    small one, and hardly at all on the coarse grid.
    """
    factor = sqrt(at[0] * at[1] / (size[0] * size[1]))
    return config.model_copy(update={"lambda_": config.lambda_ * factor})


def _resized_to(size: Size, values: np.ndarray, resampling: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize(size[::-1], resampling))
