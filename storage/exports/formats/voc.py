"""Pascal VOC, in the folders of VOC2012: images, boxes as XML, and masks of classes and objects as palette PNGs."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from models.cut.masks import box
from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, count_all, file_of, made, name_of, samples_of
from storage.exports.names import BACKGROUND, changed, check_label_map, safe_names
from storage.exports.plan import Block, Plan
from storage.photos.labels import VOC_COLOURS
from storage.text import printable

ROOT = "VOCdevkit/VOC2012"
QUALITY = 95


class VocFormat(Format):
    """VOCdevkit/VOC2012: JPEGImages, Annotations, SegmentationClass, SegmentationObject, ImageSets, labelmap.txt."""

    title = "Pascal VOC"
    loading = (
        "from torchvision.datasets import VOCSegmentation\n"
        'image, mask = VOCSegmentation(".", year="2012", image_set="SPLIT")[0]  # mask: 0, and class label + 1'
    )
    losses = (
        f"Masks are exact. Images are JPEG of quality {QUALITY} without chroma subsampling, since readers of VOC look "
        "for .jpg; no pixel has the ignore value 255."
    )
    files = (
        Files("images", "image/jpeg", f"{ROOT}/JPEGImages/*.jpg", shows="image"),
        Files("annotations", "application/xml", f"{ROOT}/Annotations/*.xml"),
        Files("class-masks", "image/png", f"{ROOT}/SegmentationClass/*.png", shows="mask"),
        Files("object-masks", "image/png", f"{ROOT}/SegmentationObject/*.png"),
    )

    def check(self, plan: Plan) -> None:
        check_label_map(plan)

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        root = folder / ROOT
        images, notes = made(root / "JPEGImages", root / "Annotations")
        classes, objects = made(root / "SegmentationClass", root / "SegmentationObject")
        facts, names = Facts(), _names(plan)
        for sample in samples_of(dataset, block):
            name = name_of(sample.index)
            (images / f"{name}.jpg").write_bytes(_jpeg(sample.image))
            label = plan.label(sample.category)
            (notes / f"{name}.xml").write_bytes(_annotation(sample, names[label]))
            (classes / f"{name}.png").write_bytes(_indexed(sample.mask, label + 1))
            (objects / f"{name}.png").write_bytes(_indexed(sample.mask, 1))
            facts.counts["empty masks, without an object"] += not sample.mask.any()
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        (folder / ROOT / "labelmap.txt").write_text(_labelmap(plan), encoding="utf-8")
        names = changed(plan.classes, _names(plan))
        count_all(facts, "class names changed, since labelmap.txt cannot hold them", names)
        both = [index for split in ("train", "val") for index in plan.splits.get(split, ())]
        lists = {"trainval": sorted(both)} | plan.splits
        for kind in ("Main", "Segmentation"):
            (sets,) = made(folder / ROOT / "ImageSets" / kind)
            for split, indices in lists.items():
                (sets / f"{split}.txt").write_text("".join(f"{name_of(index)}\n" for index in indices))


def _names(plan: Plan) -> tuple[str, ...]:
    """The classes' names in XML and labelmap.txt, whose lines : divides and # makes comments."""
    return safe_names(plan.classes, lambda name: re.sub("^#|:", "_", printable(name)))


def _labelmap(plan: Plan) -> str:
    """name:r,g,b:parts:actions of each value in label maps; readers take VOC's own classes without it."""
    named = zip((BACKGROUND, *_names(plan)), VOC_COLOURS, strict=False)  # there may be fewer names
    return "".join(f"{name}:{','.join(map(str, colour))}::\n" for name, colour in named)


def _indexed(mask: np.ndarray, value: int) -> bytes:
    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(value)).convert("P")
    image.putpalette(VOC_COLOURS.ravel().tolist())
    return file_of(image, "PNG")


def _jpeg(image: np.ndarray) -> bytes:
    return file_of(Image.fromarray(image), "JPEG", quality=QUALITY, subsampling=0)


def _annotation(sample: Sample, name: str) -> bytes:
    """The image's XML; VOC's boxes count pixels from 1 and include the last."""
    height, width = sample.mask.shape
    size = {"width": width, "height": height, "depth": 3}
    root = ElementTree.Element("annotation")
    _add(root, {"folder": "VOC2012", "filename": f"{name_of(sample.index)}.jpg", "size": size, "segmented": 1})
    if sample.mask.any():
        x0, y0, x1, y1 = box(sample.mask)
        corners = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
        named = {"name": name, "pose": "Unspecified", "truncated": 0, "difficult": 0}
        _add(root, {"object": named | {"bndbox": corners}})
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _add(parent: ElementTree.Element, values: dict[str, object]) -> None:
    """Add each value as an element with its name; a mapping becomes nested elements."""
    for name, value in values.items():
        element = ElementTree.SubElement(parent, name)
        if isinstance(value, dict):
            _add(element, value)
        else:
            element.text = str(value)
