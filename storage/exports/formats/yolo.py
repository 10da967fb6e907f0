"""YOLO segmentation labels: a text file per image, a line per object, classes from 0, polygons in [0, 1]."""

from pathlib import Path

import numpy as np
import yaml

from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.formats.polygons import has_holes, joined, polygons
from storage.exports.plan import Block, Plan


class YoloFormat(Format):
    """images/SPLIT/000000.png, labels/SPLIT/000000.txt and data.yaml. An empty mask has an empty label file."""

    title = "YOLO segmentation labels"
    loading = 'from ultralytics import YOLO\n\nYOLO("yolo11n-seg.pt").train(data="data.yaml")'
    losses = (
        "Images are exact. A label is one polygon, so holes and further parts are joined to it by lines of no width: "
        "exact for readers that test a pixel's centre by the even-odd rule, while OpenCV's fillPoly, which Ultralytics "
        "uses, adds those lines and the outline."
    )
    files = (Files("images", "image/png", "images/*/*.png"), Files("labels", "text/plain", "labels/*/*.txt"))

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        images, labels = made(folder / "images" / block.split, folder / "labels" / block.split)
        facts = Facts()
        for sample in samples_of(dataset, block):
            parts = polygons(sample.mask)
            line = f"{plan.label(sample.category)} {_normalised(joined(parts), sample.mask.shape)}\n" if parts else ""
            (images / f"{name_of(sample.index)}.png").write_bytes(png(sample.image))
            (labels / f"{name_of(sample.index)}.txt").write_text(line)
            facts.counts["masks with holes"] += has_holes(sample.mask)
            facts.counts["masks of several parts"] += len(parts) > 1
            facts.counts["empty masks, with an empty label file"] += not parts
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        paths = {split: f"images/{split}" for split in plan.splits}
        first = next(iter(paths.values()))
        missing = {split: first for split in ("train", "val") if split not in paths}
        text = "".join(f"# Ultralytics needs {split}; this export has no such split\n" for split in missing)
        document = paths | missing | {"names": dict(enumerate(plan.classes))}
        text += yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        (folder / "data.yaml").write_text(text, encoding="utf-8")


def _normalised(polygon: np.ndarray, shape: tuple[int, ...]) -> str:
    """x and y of each point as fractions of width and height; six digits are exact to 0.001 pixel in 1,000."""
    height, width = shape
    return " ".join(f"{value:.6g}" for value in (polygon / (width, height)).ravel())
