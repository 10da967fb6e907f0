"""CVAT for images 1.1, to mend masks by eye: one XML file with masks in CVAT's run lengths, and the images.

CVAT keeps nothing of an image but its name, so the name says which sample of which version it is.
"""

import json
from pathlib import Path
from xml.etree import ElementTree

from models.cut.masks import box
from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, made, png, samples_of
from storage.exports.plan import Block, Plan
from storage.mending.cvat import XML
from storage.mending.marks import REJECT, Mark, marked_name
from storage.mending.run_lengths import counts_of
from storage.text import printable

LABELS = "labels.json"  # for CVAT's constructor of labels, "Raw"


class CvatFormat(Format):
    """images/000000-VERSION-SNAPSHOT.png, annotations.xml and labels.json."""

    title = "CVAT for images 1.1"
    loading = (
        "from datumaro.components.dataset import Dataset\n\n"
        'dataset = Dataset.import_from(".", "cvat")  # or upload images and annotations.xml to a task of CVAT'
    )
    losses = (
        "Images and masks are exact. Splits are in the table only. `maskmill mend` takes CVAT's export of the same "
        "task back into a new version of the dataset."
    )
    files = (
        Files("images", "image/png", "images/*.png"),
        Files("annotations", "application/xml", XML),
        Files("labels", "application/json", LABELS),
    )

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        (images,) = made(folder / "images")
        facts = Facts()
        for sample in samples_of(dataset, block):
            name = f"{marked_name(sample.index, Mark(plan.version, plan.snapshot))}.png"
            (images / name).write_bytes(png(sample.image))
            facts.rows.append([name, _mask(sample)])
            facts.counts["empty masks, images without a shape"] += not sample.mask.any()
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        labels = list(dict.fromkeys([*map(printable, plan.classes), REJECT]))
        rows = sorted(row for of_split in facts.values() for row in of_split.rows)  # as CVAT numbers its frames
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
        for name, value in (("name", printable(plan.name)), ("size", len(rows)), ("mode", "annotation")):
            ElementTree.SubElement(task, name).text = str(value)
        named = ElementTree.SubElement(task, "labels")
        for label in labels:
            element = ElementTree.SubElement(named, "label")
            ElementTree.SubElement(element, "name").text = label
            ElementTree.SubElement(element, "attributes")
        height, width = plan.image_size
        for number, (name, mask) in enumerate(rows):
            about = {"id": number, "name": name, "width": width, "height": height}
            image = ElementTree.SubElement(root, "image", {key: str(value) for key, value in about.items()})
            if mask:
                ElementTree.SubElement(image, "mask", mask)
        ElementTree.indent(root)
        ElementTree.ElementTree(root).write(folder / XML, encoding="utf-8", xml_declaration=True)
        raw = [{"name": label, "attributes": []} for label in labels]
        (folder / LABELS).write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _mask(sample: Sample) -> dict[str, str]:
    """The attributes of the mask's element; none if it is empty."""
    if not sample.mask.any():
        return {}
    x0, y0, x1, y1 = box(sample.mask)
    sides = {"left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0}
    counts = ", ".join(map(str, counts_of(sample.mask[y0:y1, x0:x1])))
    about = {"label": printable(sample.category), "source": "auto", "occluded": "0", "rle": counts}
    return about | {name: str(value) for name, value in sides.items()} | {"z_order": "0"}
