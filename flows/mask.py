"""Masks of photographs: read -> prior -> inversion -> reverse pass with capture -> cut -> pictures and table."""

import sys
from collections.abc import Callable
from pathlib import Path

from prefect import flow
from pydantic import BaseModel
from tqdm import tqdm

from flows.checks.build import check_machine
from models.backbone.facts import check_backbone
from models.clip.categories import check_category
from models.config.photos import MaskConfig
from models.errors import UserError
from storage.photos.pictures import read_photo
from storage.results.masks import MaskFolder
from storage.results.outputs import find_photos
from tasks.masking import mask_photos

SHARD = 64  # photos read together, so that batches of equal size can be formed of them


class MaskRecord(BaseModel):
    """What a run ends with: photos masked now, masked before and left as they are, and failed."""

    table: Path
    made: int
    kept: int
    failed: int


@flow(name="mask")
def mask(config: MaskConfig, photos: list[Path], out: Path) -> MaskRecord:
    """Mask photos, files or folders, into the folder `out`; what is done is left as it is."""
    found, todo = check_mask(config, photos, out)
    out.mkdir(parents=True, exist_ok=True)
    num_failed, per_photo = 0, 2 * config.sampling.steps
    with tqdm(total=len(todo) * per_photo, desc=f"masking {len(todo)} photos", unit="step") as bar:
        for start in range(0, len(todo), SHARD):
            errors = mask_photos(todo[start : start + SHARD], config, out, advance(bar, start * per_photo))
            num_failed += len(errors)
            for error in errors:
                bar.write(f"maskmill: {error}", file=sys.stderr)
        bar.update(bar.total - bar.n)
    made = len(todo) - num_failed
    return MaskRecord(table=out / MaskFolder.table, made=made, kept=len(found) - len(todo), failed=num_failed)


def advance(bar: "tqdm[None]", before: int) -> Callable[[int], None]:
    """A callback that moves the bar to the steps done after those before."""
    return lambda done: bar.update(before + done - bar.n) and None


def check_mask(config: MaskConfig, photos: list[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """The photos, and those of them that are not done; UserError for anything that would stop the run.

    Writes nothing; loads no more than CLIP, and that only where there is something to do.
    """
    found = find_photos(photos)
    folder = MaskFolder(out)
    folder.check(found)
    check_category(config.prior.category, config.backbone, check_backbone(config.backbone).folder)
    clip = "none" if config.prior.category else config.prior.clip
    check_machine(config.run, clip, "prior.clip")
    todo = folder.pending(found, config.identity())
    if len(todo) == len(found):
        refuse_unreadable(found)
    if todo and clip != "none":
        from models.clip.model import load_clip

        load_clip(clip, config.run.device, "prior.clip")
    return found, todo


def refuse_unreadable(photos: list[Path]) -> None:
    """UserError where not one photo can be read; reads no further than to the first that can."""
    errors = []
    for photo in photos:
        try:
            read_photo(photo)
            return
        except (UserError, OSError) as error:
            errors.append(str(error))
    raise UserError(f"photos: none of {len(photos)} can be read: {errors[0]}")
