"""YOLO segmentation labels: a text file per image, a line per object, classes from 0, polygons in [0, 1]."""

from pathlib import Path

import cv2
import numpy as np
import yaml

from models.cut.masks import components
from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.formats.polygons import drawable, has_holes
from storage.exports.plan import Block, Plan


class YoloFormat(Format):
    """images/SPLIT/000000.png, labels/SPLIT/000000.txt and data.yaml. An empty mask has an empty label file."""

    title = "YOLO segmentation labels"
    loading = 'from ultralytics import YOLO\n\nYOLO("yolo11n-seg.pt").train(data="data.yaml")'
    losses = (
        "Images are exact. A label is one polygon, so parts and holes are joined by lines of no width between their "
        "nearest points: exact for readers that test a pixel's centre by the even-odd rule, while OpenCV's fillPoly, "
        "which Ultralytics uses, paints those lines."
    )
    files = (
        Files("images", "image/png", "images/*/*.png", shows="image"),
        Files("labels", "text/plain", "labels/*/*.txt"),
    )

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        images, labels = made(folder / "images" / block.split, folder / "labels" / block.split)
        facts = Facts()
        for sample in samples_of(dataset, block):
            label = _normalised(drawable(sample.mask), sample.mask.shape)
            line = f"{plan.label(sample.category)} {label}\n" if label else ""
            (images / f"{name_of(sample.index)}.png").write_bytes(png(sample.image))
            (labels / f"{name_of(sample.index)}.txt").write_text(line)
            facts.counts["masks with holes"] += has_holes(sample.mask)
            facts.counts["masks of several parts"] += len(components(sample.mask)[1]) > 1
            facts.counts["empty masks, with an empty label file"] += not label
            if label:
                facts.rows.append(_iou(sample.mask, as_ultralytics_draws(label, sample.mask.shape)))
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        paths = {split: f"images/{split}" for split in plan.splits}
        first = next(iter(paths.values()))
        missing = {split: first for split in ("train", "val") if split not in paths}
        text = "".join(f"# Ultralytics needs {split}; this export has no such split\n" for split in missing)
        document = paths | missing | {"names": dict(enumerate(plan.classes))}
        text += yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        (folder / "data.yaml").write_text(text, encoding="utf-8")

    def measured(self, facts: dict[str, Facts]) -> dict[str, float]:
        ious = [iou for of_split in facts.values() for iou in of_split.rows]
        what = "IoU of a mask as Ultralytics draws it at the image's size with the mask"
        return {f"mean {what}": float(np.mean(ious)), f"lowest {what}": min(ious)} if ious else {}


def as_ultralytics_draws(label: str, shape: tuple[int, int]) -> np.ndarray:
    """A label's x and y, as text, as a mask (H, W) bool: cut to whole pixels and filled with what the lines touch."""
    height, width = shape
    points = np.array(label.split(), dtype=np.float32).reshape(-1, 2) * np.array([width, height], dtype=np.float32)
    return cv2.fillPoly(np.zeros(shape, np.uint8), [points.astype(np.int32)], (1,)) > 0


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def _normalised(polygon: np.ndarray, shape: tuple[int, ...]) -> str:
    """x and y of each point as fractions of width and height; six digits are exact to 0.001 pixel in 1,000."""
    height, width = shape
    return " ".join(f"{value:.6g}" for value in (polygon / (width, height)).ravel())
