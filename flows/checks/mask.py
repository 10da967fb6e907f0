"""What is checked before photographs are masked. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.backbone.facts import check_backbone
from models.backbone.protocol import BackboneFacts
from models.clip.categories import check_category
from models.config.photos import MaskConfig
from models.errors import UserError
from storage.photos.pictures import read_photo
from storage.results.masks import MaskFolder
from storage.results.outputs import find_photos


def check_mask(config: MaskConfig, photos: list[Path], out: Path) -> tuple[list[Path], list[Path], BackboneFacts]:
    """The photos, those of them that are not done, and the backbone's facts; UserError for what would stop the run.

    Writes nothing; loads no more than CLIP, and that only where there is something to do.
    """
    found = find_photos(photos)
    folder = MaskFolder(out)
    folder.check(found)
    facts = check_backbone(config.backbone)
    check_category(config.prior.category, facts)
    clip = "none" if config.prior.category else config.prior.clip
    check_machine(config.run, clip, "prior.clip")
    todo = folder.pending(found, config.identity())
    if len(todo) == len(found):
        refuse_unreadable(found)
    if todo and clip != "none":
        from models.clip.model import load_clip

        load_clip(clip, config.run.device, "prior.clip")
    return found, todo, facts


def refuse_unreadable(photos: list[Path]) -> None:
    """UserError if not one photo can be read; reads no further than to the first that can."""
    errors = []
    for photo in photos:
        try:
            read_photo(photo)
            return
        except (UserError, OSError) as error:
            errors.append(str(error))
    raise UserError(f"photos: none of {len(photos)} can be read: {errors[0]}")
