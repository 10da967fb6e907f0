"""Semantic segmentation: PNG images and label maps, the classes' names, and a list of pairs for each split."""

from operator import ne
from pathlib import Path

import numpy as np

from models.errors import UserError
from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.names import BACKGROUND, safe_names
from storage.exports.plan import Block, Plan
from storage.text import printable

MOST_CLASSES = 254  # values of a byte except 0, the background, and 255, which trainers ignore


class SemanticFormat(Format):
    """images/SPLIT/000000.png, masks/SPLIT/000000.png, classes.txt, and SPLIT.txt with the paths of both.

    A label map is a greyscale PNG: 0 background, label + 1 the class. It has no palette, since OpenCV turns one into
    colours.
    """

    title = "Semantic segmentation, PNG images and label maps"
    loading = (
        "from PIL import Image\n\n"
        'pairs = [line.split() for line in open("SPLIT.txt")]\n'
        "image, labels = (Image.open(path) for path in pairs[0])  # 0 background, then the lines of classes.txt"
    )
    losses = "Images and masks are exact; no pixel has the ignore value 255. Prompts are in the table only."
    files = (
        Files("images", "image/png", "images/*/*.png", shows="image"),
        Files("masks", "image/png", "masks/*/*.png", shows="mask"),
    )

    def check(self, plan: Plan) -> None:
        if len(plan.classes) > MOST_CLASSES:
            raise UserError(
                f"format semantic: expected at most {MOST_CLASSES} classes, the dataset has {len(plan.classes)}; "
                "choose another format"
            )

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        images, masks = made(folder / "images" / block.split, folder / "masks" / block.split)
        facts = Facts()
        for sample in samples_of(dataset, block):
            name, value = f"{name_of(sample.index)}.png", np.uint8(plan.label(sample.category) + 1)
            (images / name).write_bytes(png(sample.image))
            (masks / name).write_bytes(png(sample.mask * value))
            facts.counts["empty masks, all background"] += not sample.mask.any()
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        names = safe_names(plan.classes, printable)
        (folder / "classes.txt").write_text("\n".join((BACKGROUND, *names)) + "\n", encoding="utf-8")
        changed = sum(map(ne, plan.classes, names))
        next(iter(facts.values())).counts["class names changed, since classes.txt cannot hold them"] += changed
        for split, indices in plan.splits.items():
            paths = (f"{split}/{name_of(index)}.png" for index in indices)
            (folder / f"{split}.txt").write_text("".join(f"images/{path} masks/{path}\n" for path in paths))
