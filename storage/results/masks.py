"""Masks of photographs in a folder: three pictures per photo, and the table of all photos, masks.csv."""

from dataclasses import dataclass

from storage.results.outputs import OutputFolder, Row


@dataclass(frozen=True)
class MaskRow(Row):
    """category: '' without a prior; confidence: CLIP's, in [0, 1]; area: the mask's fraction of the photo.

    uncertainty in [0, 1]; reconstruction_db: PSNR of the reverse pass.
    """

    category: str = ""
    confidence: float | None = None
    area: float | None = None
    uncertainty: float | None = None
    reconstruction_db: float | None = None


class MaskFolder(OutputFolder):
    """Pictures: mask (H, W), 0 or 255; overlay (H', W', 3); objectness (H, W)."""

    table, kinds, row = "masks.csv", ("mask", "overlay", "objectness"), MaskRow
