"""Folders of images and masks in the layout of DUTS, a pair of folders per split. All pixels are kept.

`maskmill.open_folder("folder", out / "train")` reads them, and so does any of its named layouts.
"""

from pathlib import Path

from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.plan import Block, Plan


class FolderFormat(Format):
    """SPLIT/images/000000.png and SPLIT/masks/000000.png, the mask 0 and 255."""

    title = "Folders of PNG images and masks, as DUTS"
    loading = (
        "import maskmill  # or any other reader of folders of images and masks\n\n"
        'photo, mask = maskmill.open_folder("folder", "SPLIT").pair(0)'
    )
    losses = "Images and masks are exact. Class and prompt are in samples.csv only."
    files = (Files("images", "image/png", "*/images/*.png"), Files("masks", "image/png", "*/masks/*.png"))

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        images, masks = made(folder / block.split / "images", folder / block.split / "masks")
        for sample in samples_of(dataset, block):
            (images / f"{name_of(sample.index)}.png").write_bytes(png(sample.image))
            (masks / f"{name_of(sample.index)}.png").write_bytes(png(sample.mask))
        return Facts()
