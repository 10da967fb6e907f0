"""Checks before photographs are masked. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.backbone.facts import check_backbone
from models.backbone.load import fetch_weights
from models.backbone.protocol import BackboneFacts
from models.clip.categories import check_category
from models.config.photos import MaskConfig
from models.errors import UserError
from storage.photos.notes import Notes
from storage.photos.pictures import read_photo
from storage.results.masks import MaskFolder
from storage.results.outputs import find_photos


def check_mask(
    config: MaskConfig, photos: list[Path], out: Path, left_out: Notes | None = None
) -> tuple[list[Path], list[Path], BackboneFacts]:
    """The photos, those of them that are not done, and the backbone's facts; UserError if the run is not possible.

    left_out: gains the files that are not taken, as in `find_photos`. Writes nothing; loads only CLIP, and only if
    photos are left to do.
    """
    files = find_photos(photos, left_out)
    folder = MaskFolder(out)
    folder.check(files)
    facts = check_backbone(config.backbone, config.revision)
    check_category(config.prior.category, facts)
    clip = "none" if config.prior.category else config.prior.clip
    check_machine(config.run, clip, "prior.clip")
    todo = folder.pending(files, config.identity())
    if len(todo) == len(files):
        refuse_unreadable(files)
    if todo:
        fetch_weights(facts, config.run.device, config.run.dtype)
    if todo and clip != "none":
        from models.clip.model import load_clip

        load_clip(clip, config.run.device, "prior.clip")
    return files, todo, facts


def refuse_unreadable(photos: list[Path]) -> None:
    """UserError if no photo can be read; stops at the first that can."""
    errors = []
    for photo in photos:
        try:
            read_photo(photo)
            return
        except (UserError, OSError) as error:
            errors.append(str(error))
    raise UserError(f"photos: none of {len(photos)} can be read: {errors[0]}")
