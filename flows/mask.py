"""Masks of photographs: read -> prior -> inversion -> reverse pass with capture -> cut -> pictures and table."""

import sys
from pathlib import Path

from pydantic import BaseModel
from tqdm import tqdm

from flows.base import flow
from flows.checks.mask import check_mask
from models.config.photos import MaskConfig
from models.paths import GivenPath
from storage.results.masks import MaskFolder
from tasks.api.progress import advance
from tasks.masking import mask_photos

SHARD = 64  # photos read together, so that photos of equal size can form batches


class MaskRecord(BaseModel):
    """The result of a run: photos masked now (made), masked before (kept), and failed."""

    table: Path
    made: int
    kept: int
    failed: int


@flow(name="mask")
def mask(config: MaskConfig, photos: list[GivenPath], out: GivenPath) -> MaskRecord:
    """Mask photos, files or folders, into the folder `out`; finished photos are not masked again."""
    files, todo, facts = check_mask(config, photos, out)
    out.mkdir(parents=True, exist_ok=True)
    num_failed, per_photo = 0, 2 * config.sampling.steps
    with tqdm(total=len(todo) * per_photo, desc=f"masking {len(todo)} photos", unit="step") as bar:
        for start in range(0, len(todo), SHARD):
            errors = mask_photos(todo[start : start + SHARD], config, facts, out, advance(bar, start * per_photo))
            num_failed += len(errors)
            for error in errors:
                bar.write(f"maskmill: {error}", file=sys.stderr)
        bar.update(bar.total - bar.n)
    counts = {"made": len(todo) - num_failed, "kept": len(files) - len(todo), "failed": num_failed}
    return MaskRecord(table=out / MaskFolder.table, **counts)
