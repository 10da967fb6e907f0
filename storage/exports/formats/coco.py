"""COCO instances: an annotation file for each split, with polygons or run lengths that pycocotools draws exactly."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.cut.masks import box
from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.formats.polygons import has_holes, polygons
from storage.exports.plan import Block, Plan
from storage.mending.run_lengths import counts_of

SUPERCATEGORY = "object"  # of every class: a dataset has one level of classes
LICENSE = 1  # the id of the only licence


class CocoFormat(Format):
    """images/SPLIT/000000.png and annotations/instances_SPLIT.json; one instance an image, categories from 1."""

    title = "COCO instances"
    loading = (
        "from pycocotools.coco import COCO\n"
        'coco = COCO("annotations/instances_SPLIT.json")\n'
        "mask = coco.annToMask(coco.loadAnns(coco.getAnnIds())[0])"
    )
    losses = (
        "Images are exact, and so are masks as pycocotools draws them. Of polygons, a hole is joined to the outline by "
        "a line of no width, which readers that draw outlines (OpenCV's fillPoly) show, and some readers keep one "
        "part; run lengths (`--masks rle`) have neither."
    )
    files = (
        Files("images", "image/png", "images/*/*.png", shows="image"),
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
                "info": _info(plan),
                "licenses": [_license(plan)],
                "images": [row["image"] for row in of_split.rows],
                "annotations": [row["annotation"] for row in of_split.rows if row["annotation"]],
                "categories": [
                    {"id": i, "name": name, "supercategory": SUPERCATEGORY}
                    for i, name in enumerate(plan.classes, start=1)
                ],
            }
            (annotations / f"instances_{split}.json").write_text(json.dumps(document), encoding="utf-8")


def _info(plan: Plan) -> dict[str, Any]:
    """About the version; its dates are the version's, so that an export is the same whenever it is made."""
    published = getattr(plan, "published", "")  # a plan may know no more than the classes
    info: dict[str, Any] = {"description": plan.name, "url": "", "version": plan.version, "contributor": "maskmill"}
    return info | ({"year": int(published[:4]), "date_created": published.replace("-", "/")} if published else {})


def _license(plan: Plan) -> dict[str, Any]:
    """The licence that was named; images refer to one, so there is an entry for none."""
    text = getattr(plan, "license", None) or "not named"
    return {"id": LICENSE, "name": text, "url": text if text.startswith(("http://", "https://")) else ""}


def _image(sample: Sample) -> dict[str, Any]:
    height, width = sample.mask.shape
    named = {"id": sample.index + 1, "file_name": f"{name_of(sample.index)}.png"}  # some readers treat id 0 as missing
    return named | {"width": width, "height": height, "license": LICENSE, "prompt": sample.prompt}


def _annotation(sample: Sample, plan: Plan) -> dict[str, Any] | None:
    """The instance; None if the mask is empty. bbox: x, y, width, height in pixels; area: in pixels.

    They are floats, as in COCO's own files: torchvision takes the dtype of boxes from them, and rounds whole numbers.
    """
    if not sample.mask.any():
        return None
    x0, y0, x1, y1 = box(sample.mask)
    return {
        "id": sample.index + 1,
        "image_id": sample.index + 1,
        "category_id": plan.label(sample.category) + 1,
        "segmentation": _segmentation(sample.mask, plan.masks),
        "area": float(np.count_nonzero(sample.mask)),
        "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        "iscrowd": 0,
    }


def _segmentation(mask: np.ndarray, form: str) -> Any:
    return run_lengths(mask) if form == "rle" else [polygon.ravel().tolist() for polygon in polygons(mask)]


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) bool as COCO's run lengths: down each column in turn, beginning with pixels outside.

    They are a list, as in COCO's own files, which more readers take than the compressed text of pycocotools.
    """
    return {"size": list(mask.shape), "counts": counts_of(mask.T)}
