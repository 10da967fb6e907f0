"""COCO instances: an annotation file for each split, with polygons that pycocotools turns into the exact masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.cut.masks import box
from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.formats.polygons import has_holes, polygons
from storage.exports.plan import Block, Plan


class CocoFormat(Format):
    """images/SPLIT/000000.png and annotations/instances_SPLIT.json; one instance an image, categories from 1."""

    title = "COCO instances"
    loading = (
        "from pycocotools.coco import COCO\n"
        'coco = COCO("annotations/instances_SPLIT.json")\n'
        "mask = coco.annToMask(coco.loadAnns(coco.getAnnIds())[0])"
    )
    losses = (
        "Images are exact, and so are masks as pycocotools draws their polygons. A hole is joined to the outline by a "
        "line of no width, which readers that draw outlines (OpenCV's fillPoly) show."
    )
    files = (
        Files("images", "image/png", "images/*/*.png"),
        Files("annotations", "application/json", "annotations/*.json"),
    )

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        (images,) = made(folder / "images" / block.split)
        facts = Facts()
        for sample in samples_of(dataset, block):
            (images / f"{name_of(sample.index)}.png").write_bytes(png(sample.image))
            facts.rows.append({"image": _image(sample), "annotation": _annotation(sample, plan)})
            facts.counts["masks with holes"] += has_holes(sample.mask)
            facts.counts["empty masks, without an annotation"] += not sample.mask.any()
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        (annotations,) = made(folder / "annotations")
        for split, of_split in facts.items():
            document = {
                "info": {"description": plan.name, "version": plan.version, "contributor": "maskmill"},
                "licenses": [],
                "images": [row["image"] for row in of_split.rows],
                "annotations": [row["annotation"] for row in of_split.rows if row["annotation"]],
                "categories": [{"id": i, "name": name} for i, name in enumerate(plan.classes, start=1)],
            }
            (annotations / f"instances_{split}.json").write_text(json.dumps(document), encoding="utf-8")


def _image(sample: Sample) -> dict[str, Any]:
    height, width = sample.mask.shape
    named = {"id": sample.index + 1, "file_name": f"{name_of(sample.index)}.png"}  # some readers treat id 0 as missing
    return named | {"width": width, "height": height, "prompt": sample.prompt}


def _annotation(sample: Sample, plan: Plan) -> dict[str, Any] | None:
    """The instance; None if the mask is empty. bbox: x, y, width, height in pixels; area: in pixels."""
    if not sample.mask.any():
        return None
    x0, y0, x1, y1 = box(sample.mask)
    return {
        "id": sample.index + 1,
        "image_id": sample.index + 1,
        "category_id": plan.label(sample.category) + 1,
        "segmentation": [polygon.ravel().tolist() for polygon in polygons(sample.mask)],
        "area": int(np.count_nonzero(sample.mask)),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
    }
