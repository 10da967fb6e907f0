"""Readers that label and convert: datumaro, which reads CVAT's files too, and Label Studio's own converter.

Run by load.py in the readers' environment; each returns its rows and facts.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

Found = tuple[list[dict[str, Any]], dict[str, Any]]


def _datumaro(folder: Path, form: str) -> Found:
    """Rows of what datumaro imports as `form`; facts: its classes, and the formats that it detects by itself.

    VOC is detected in its own folder alone, but imported from above it too.
    """
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset
    from datumaro.components.environment import Environment

    detected = Environment().detect_dataset(str(next(folder.glob("VOCdevkit/*"), folder)))
    loaded = Dataset.import_from(str(folder), form)
    names = [label.name for label in loaded.categories()[AnnotationType.label].items]
    rows: dict[int, dict[str, Any]] = {}  # VOC's trainval has the samples of train and val again
    for item in loaded:
        row: dict[str, Any] = {"index": int(Path(item.id).name.split("-")[0])}
        for note in item.annotations:
            if note.type in (AnnotationType.mask, AnnotationType.polygon):
                row["category"] = names[note.label]
                row["mask"] = row.get("mask", False) | _pixels(note, item.media.size)
            elif note.type == AnnotationType.bbox and note.label is not None:
                row["category"] = names[note.label]
                row["box"] = [note.x, note.y, note.x + note.w, note.y + note.h]
        rows[row["index"]] = row
    return list(rows.values()), {"names": names, "detected": sorted(detected)}


def _pixels(note: Any, size: tuple[int, int]) -> np.ndarray:
    """A mask as it is; a polygon as datumaro itself turns it into one, through COCO's run lengths."""
    from datumaro.components.annotation import AnnotationType
    from datumaro.util import mask_tools

    if note.type == AnnotationType.mask:
        return np.asarray(note.image).astype(bool)
    height, width = size
    return np.asarray(mask_tools.rles_to_mask([note.points], width, height)).astype(bool)


def datumaro_coco(folder: Path) -> Found:
    return _datumaro(folder, "coco")


def datumaro_coco_instances(folder: Path) -> Found:
    return _datumaro(folder, "coco_instances")


def datumaro_voc(folder: Path) -> Found:
    return _datumaro(folder, "voc")


def datumaro_voc_segmentation(folder: Path) -> Found:
    return _datumaro(folder, "voc_segmentation")


def datumaro_voc_detection(folder: Path) -> Found:
    return _datumaro(folder, "voc_detection")


def datumaro_cvat(folder: Path) -> Found:
    return _datumaro(folder, "cvat")


def label_studio(folder: Path) -> Found:
    """The converter's decoder of brush strokes; and the interface's own check of every task and prediction."""
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "config.xml").read_text(encoding="utf-8"))
    interface.validate()
    rows, valid = [], True
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8")):
        valid &= interface.validate_task({"data": task["data"]})
        row = {"index": task["data"]["index"]}
        image = folder / task["data"]["image"].removeprefix("/data/local-files/?d=")
        assert image.is_file(), image
        (prediction,) = task["predictions"]
        valid &= not prediction["result"] or interface.validate_prediction(prediction)
        for result in prediction["result"]:
            shape = result["original_height"], result["original_width"], 4
            mask = decode_rle(result["value"]["rle"]).reshape(shape)[..., 3] > 0
            row |= {"category": result["value"]["brushlabels"][0], "mask": mask}
        rows.append(row)
    return rows, {"valid": bool(valid), "names": list(interface.get_tag("mask").labels)}
