"""Semantic segmentation: PNG images and label maps, the classes' names, and a list of pairs for each split."""

from pathlib import Path

import numpy as np

from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, count_all, made, name_of, png, samples_of
from storage.exports.names import BACKGROUND, changed, check_label_map, safe_names
from storage.exports.plan import Block, Plan
from storage.text import printable


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
        check_label_map(plan)

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
        count_all(facts, "class names changed, since classes.txt cannot hold them", changed(plan.classes, names))
        for split, indices in plan.splits.items():
            paths = (f"{split}/{name_of(index)}.png" for index in indices)
            (folder / f"{split}.txt").write_text("".join(f"images/{path} masks/{path}\n" for path in paths))
