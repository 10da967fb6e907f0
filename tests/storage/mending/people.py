"""What a person does to an export in another tool: draw masks of samples again, empty them, reject a sample.

The files are written as the tools write theirs, by code that shares nothing with ours.
"""

import itertools
import json
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

REJECT = "reject"


def redraw(form: str, out: Path, masks: dict[int, np.ndarray], rejected: tuple[int, ...] = ()) -> Path:
    """Change an export in place, and return the path that is handed back: masks (H, W) bool by the sample's index."""
    return {"cvat": in_cvat, "labelstudio": in_label_studio, "folders": in_an_editor, "semantic": in_an_editor}[form](
        out, masks, rejected
    )


def in_cvat(out: Path, masks: dict[int, np.ndarray], rejected: tuple[int, ...]) -> Path:
    tree = ElementTree.parse(out / "annotations.xml")
    for image in tree.iter("image"):
        index = int(image.get("name")[:6])
        if index in masks:
            old = image.find("mask")
            label = old.get("label")
            image.remove(old)
            image.extend(cvat_mask(part, label) for part in halves(masks[index]) if part.any())
        if index in rejected:
            ElementTree.SubElement(image, "tag", label=REJECT, source="manual")
    tree.write(out / "annotations.xml")
    return out / "annotations.xml"


def cvat_mask(mask: np.ndarray, label: str) -> ElementTree.Element:
    """A <mask> of the whole image, though CVAT's are cropped: a box is a box."""
    runs = [(value, len(list(run))) for value, run in itertools.groupby(mask.ravel().tolist())]
    counts = [0] * runs[0][0] + [length for _, length in runs]
    sides = {"left": "0", "top": "0", "width": str(mask.shape[1]), "height": str(mask.shape[0])}
    rle = ", ".join(map(str, counts))
    return ElementTree.Element("mask", label=label, source="manual", occluded="0", rle=rle, z_order="0", **sides)


def in_label_studio(out: Path, masks: dict[int, np.ndarray], rejected: tuple[int, ...]) -> Path:
    """The project's JSON export: every task submitted, so that the prediction has become an annotation."""
    tasks = json.loads((out / "tasks.json").read_text())
    for number, task in enumerate(tasks, start=40):
        task["id"], results = number, list(task["predictions"][0]["result"])
        index = task["data"]["index"]
        if index in masks:
            old = results[0]
            parts = [part for part in halves(masks[index]) if part.any()]
            results = [old | {"value": old["value"] | {"rle": literal_rle(part)}} for part in parts]
        if index in rejected:
            results.append({"type": "choices", "from_name": "verdict", "value": {"choices": [REJECT]}})
        task["annotations"] = [{"id": number, "was_cancelled": False, "result": results}]
        task["predictions"] = [7]
    (out / "project.json").write_text(json.dumps(tasks))
    return out / "project.json"


def literal_rle(mask: np.ndarray) -> list[int]:
    """Label Studio's bytes with literals in place of runs, a soft edge in the colours, and lengths of other sizes."""
    values = np.zeros((*mask.shape, 4), np.uint8)
    values[..., 0], values[..., 3] = 77, np.where(mask, 200, 90)
    values = values.ravel().tolist()
    bits = f"{len(values):032b}{7:05b}" + f"{5:04b}{1:04b}{9:04b}{0:04b}"  # lengths of 6, 2, 10 and 1 bits
    for start in range(0, len(values), 1024):
        part = values[start : start + 1024]
        bits += "0" + "10" + f"{len(part) - 1:010b}" + "".join(f"{value:08b}" for value in part)
    bits += "0" * (-len(bits) % 8)
    return list(struct.pack(f"{len(bits) // 8}B", *(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))))


def in_an_editor(out: Path, masks: dict[int, np.ndarray], rejected: tuple[int, ...]) -> Path:
    """Masks painted over in their files; an editor cannot reject."""
    assert not rejected
    for file in [*out.glob("*/masks/*.png"), *out.glob("masks/*/*.png")]:
        if int(file.stem) in masks:
            value = max(1, np.asarray(Image.open(file)).max())
            Image.fromarray(masks[int(file.stem)].astype(np.uint8) * value).save(file)
    return out


def halves(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask in two strokes that overlap."""
    left, right = mask.copy(), mask.copy()
    left[:, mask.shape[1] * 2 // 3 :], right[:, : mask.shape[1] // 3] = False, False
    return left, right
