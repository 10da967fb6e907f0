"""Mask photographs: read, name the class, invert and reconstruct with capture, cut, write."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.backbone.protocol import BackboneFacts
from models.config.photos import MaskConfig
from models.errors import UserError
from storage.photos.pictures import read_photo
from storage.results.masks import MaskFolder, MaskRow
from storage.results.outputs import digest
from tasks.base import task

if TYPE_CHECKING:
    from models.backbone.sampling import Sampled

Batch = dict[Path, np.ndarray]  # photos by file, resized to one size for the backbone


@task(name="mask")
def mask_photos(
    photos: list[Path], config: MaskConfig, facts: BackboneFacts, out: Path, on_step: Callable[[int], None]
) -> list[str]:
    """Write each photo's pictures and row, batch by batch; returns the errors of the photos without a mask.

    on_step receives the number of steps done; each photo takes 2 * sampling.steps.
    """
    folder = MaskFolder(out)
    batches, unread = _read(photos, facts, config.run.batch_size, folder)
    folder.add(unread)
    errors, done = [row.error for row in unread], len(unread)
    for batch in batches:
        before = 2 * config.sampling.steps * done
        rows = _mask_batch(batch, config, facts, folder, partial(_report, on_step, before))
        folder.add(rows)
        errors += [row.error for row in rows if row.error]
        done += len(rows)
    return errors


def _report(on_step: Callable[[int], None], before: int, step: int, _: int) -> None:
    on_step(before + step)


def _read(
    photos: list[Path], facts: BackboneFacts, batch_size: int, out: MaskFolder
) -> tuple[list[Batch], list[MaskRow]]:
    """Batches of photos resized to equal size, and the rows of unreadable photos."""
    from models.images import resized
    from models.photos import backbone_size

    by_size: dict[tuple[int, int], list[Batch]] = {}
    unread = []
    for photo in photos:
        try:
            image = read_photo(photo)
        except (UserError, OSError) as error:
            unread.append(MaskRow(out.name_of(photo), str(photo), error=str(error)))
            continue
        size = backbone_size(image.shape[:2], facts)
        batches = by_size.setdefault(size, [])
        if not batches or len(batches[-1]) == batch_size:
            batches.append({})
        batches[-1][photo] = resized(image, size)
    return [batch for batches in by_size.values() for batch in batches], unread


def _mask_batch(
    batch: Batch, config: MaskConfig, facts: BackboneFacts, out: MaskFolder, on_step: Callable[[int, int], None]
) -> list[MaskRow]:
    """Write the pictures of a batch; returns its rows."""
    from models.backbone.load import load_backbone
    from models.clip.categories import categories_of
    from models.photos import reconstruct_photos

    images = np.stack(list(batch.values()))
    priors = categories_of(images, config.backbone, config.prior, config.run.device)
    backbone = load_backbone(facts, config.run.device, config.run.dtype)
    reconstructions = reconstruct_photos(backbone, images, [category for category, _ in priors], config, on_step)
    rows = []
    for photo, prior, (sampled, psnr) in zip(batch, priors, reconstructions, strict=True):
        row = MaskRow(out.name_of(photo), str(photo), category=prior[0], confidence=prior[1], reconstruction_db=psnr)
        rows.append(_cut_and_write(photo, sampled, images.shape[1:3], row, config, out))
    return rows


def _cut_and_write(
    photo: Path, sampled: "Sampled", size: tuple[int, int], row: MaskRow, config: MaskConfig, out: MaskFolder
) -> MaskRow:
    """Cut one photo and write its pictures; returns its completed row, or the row with the error."""
    from analysis.figures import overlay
    from models.photos import cut_photo

    if not sampled.finite:
        return replace(
            row, reconstruction_db=None, error=f"{photo}: the backbone returned NaN or infinity; set run.dtype=float32"
        )
    try:
        made_from, image = digest(photo, config.identity()), read_photo(photo)
    except (UserError, OSError) as error:
        return replace(row, error=str(error))
    result = cut_photo(image, sampled.evidence, size, config.cut)
    mask = result.mask.astype(np.uint8) * 255
    out.write_pictures(row.name, mask, overlay(result.small, result.small_mask), result.objectness)
    area = float(result.mask.mean())
    return replace(row, area=area, uncertainty=result.uncertainty, made_from=made_from)
