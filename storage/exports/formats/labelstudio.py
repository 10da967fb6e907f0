"""Label Studio, to mend masks by eye: tasks with masks as brush strokes, the labelling interface, and the images."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.plan import Block, Plan
from storage.mending.labelstudio import TASKS
from storage.mending.marks import REJECT
from storage.mending.run_lengths import packed
from storage.text import printable

INTERFACE = "config.xml"


class LabelStudioFormat(Format):
    """images/000000.png, tasks.json and config.xml; masks are predictions, which a person accepts or changes."""

    title = "Label Studio"
    loading = 'import json\n\ntasks = json.load(open("tasks.json"))  # or import it into a project of Label Studio'
    losses = (
        "Images and masks are exact. Splits are in the table only. `maskmill mend` takes the project's JSON export "
        "back into a new version of the dataset."
    )
    files = (
        Files("images", "image/png", "images/*.png"),
        Files("tasks", "application/json", TASKS),
        Files("interface", "application/xml", INTERFACE),
    )

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        (images,) = made(folder / "images")
        facts = Facts()
        for sample in samples_of(dataset, block):
            (images / f"{name_of(sample.index)}.png").write_bytes(png(sample.image))
            facts.rows.append(_task(sample, plan))
            facts.counts["empty masks, tasks without a prediction"] += not sample.mask.any()
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        tasks = [task for of_split in facts.values() for task in of_split.rows]
        tasks.sort(key=lambda task: task["data"]["index"])
        (folder / TASKS).write_text(json.dumps(tasks), encoding="utf-8")
        view = ElementTree.Element("View")
        ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true", zoomControl="true")
        labels = ElementTree.SubElement(view, "BrushLabels", name="mask", toName="image")
        for name in plan.classes:
            ElementTree.SubElement(labels, "Label", value=printable(name))
        choices = ElementTree.SubElement(view, "Choices", name="verdict", toName="image")
        ElementTree.SubElement(choices, "Choice", value=REJECT)
        ElementTree.indent(view)
        ElementTree.ElementTree(view).write(folder / INTERFACE, encoding="utf-8")


def _task(sample: Sample, plan: Plan) -> dict[str, Any]:
    height, width = sample.mask.shape
    data = {
        "image": f"/data/local-files/?d=images/{name_of(sample.index)}.png",
        "index": sample.index, "version": plan.version, "snapshot": plan.snapshot,
        "category": printable(sample.category), "prompt": sample.prompt,
    }  # fmt: skip
    brush = {"format": "rle", "rle": packed(sample.mask), "brushlabels": [printable(sample.category)]}
    result = {
        "id": "mask", "from_name": "mask", "to_name": "image", "type": "brushlabels",
        "original_width": width, "original_height": height, "image_rotation": 0, "value": brush,
    }  # fmt: skip
    results = [result] if sample.mask.any() else []
    return {"data": data, "predictions": [{"model_version": f"maskmill {plan.version}", "result": results}]}
