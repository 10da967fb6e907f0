"""Readers that train or judge detectors and segmenters: pycocotools, torchvision, Ultralytics, supervision.

Run by load.py in the readers' environment; each returns its rows and facts.
"""

from pathlib import Path
from typing import Any

import numpy as np

Found = tuple[list[dict[str, Any]], dict[str, Any]]


def splits_of(folder: Path) -> list[str]:
    return sorted(path.stem.removeprefix("instances_") for path in (folder / "annotations").glob("instances_*.json"))


def corners(box: Any) -> list[float]:
    """x, y, width, height as corners."""
    x, y, width, height = map(float, box)
    return [x, y, x + width, y + height]


def pycocotools(folder: Path) -> Found:
    """annToMask; and COCOeval of the annotations against themselves, whose AP must be 1."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows, precision = [], {}
    for split in splits_of(folder):
        coco = COCO(str(folder / "annotations" / f"instances_{split}.json"))
        for note in coco.loadAnns(coco.getAnnIds()):
            name = coco.loadImgs(note["image_id"])[0]["file_name"]
            category = coco.loadCats(note["category_id"])[0]["name"]
            mask = coco.annToMask(note).astype(bool)
            rows.append(
                {"index": int(Path(name).stem), "category": category, "box": corners(note["bbox"]), "mask": mask}
            )
        results = [
            {name: note[name] for name in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 1.0}
            for note in coco.loadAnns(coco.getAnnIds())
        ]
        for kind in ("bbox", "segm"):
            as_rle = [result | {"segmentation": coco.annToRLE(result)} for result in results]
            judged = COCOeval(coco, coco.loadRes(as_rle if kind == "segm" else results), kind)
            judged.evaluate()
            judged.accumulate()
            judged.summarize()
            precision[f"{split} {kind}"] = float(judged.stats[0])
    return rows, {"precision": precision}


def torchvision_coco(folder: Path) -> Found:
    """CocoDetection under the wrapper of the v2 transforms."""
    from torchvision import tv_tensors
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
    from torchvision.transforms import v2

    rows, kinds = [], set()
    for split in splits_of(folder):
        notes = str(folder / "annotations" / f"instances_{split}.json")
        plain = CocoDetection(str(folder / "images" / split), notes)
        wrapped = wrap_dataset_for_transforms_v2(plain, target_keys=["boxes", "labels", "masks", "image_id"])
        for _, target in wrapped:
            if "boxes" not in target:
                continue
            assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
            kinds.add(str(target["boxes"].dtype))
            halved = v2.functional.resize(target["boxes"], [48, 64])  # whole numbers would be rounded here
            np.testing.assert_allclose(np.asarray(halved) * 2, np.asarray(target["boxes"]))
            name = plain.coco.loadImgs(target["image_id"])[0]["file_name"]
            category = plain.coco.cats[int(target["labels"][0])]["name"]
            box, mask = target["boxes"][0].tolist(), np.asarray(target["masks"][0]).astype(bool)
            rows.append({"index": int(Path(name).stem), "category": category, "box": box, "mask": mask})
    return rows, {"kinds": sorted(kinds)}


def torchvision_voc(folder: Path) -> Found:
    """VOCSegmentation: no names of classes, so that labels stand for them; splits that it knows."""
    from torchvision.datasets import VOCSegmentation

    rows = []
    for split in ("train", "val"):
        loaded = VOCSegmentation(str(folder), year="2012", image_set=split)
        for path, (_, labels) in zip(loaded.images, loaded, strict=True):
            values = np.asarray(labels)
            found = set(np.unique(values).tolist()) - {0}
            rows.append({"index": int(Path(path).stem), "mask": values > 0} | _label(found))
    return rows, {}


def _label(values: set[int]) -> dict[str, int]:
    return {"label": values.pop() - 1} if len(values) == 1 else {}


def ultralytics(folder: Path) -> Found:
    """The masks that a training of a segmenter gets, at full size; labels are verified by the dataset's own check."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    rows, facts = [], {"corrupt": 0, "names": list(data["names"].values())}
    hyp = get_cfg(overrides={"mask_ratio": 1, "task": "segment"})
    for split in ("train", "val", "test"):
        if not data.get(split):
            continue
        dataset = YOLODataset(
            img_path=data[split], data=data, task="segment", augment=False, imgsz=128, hyp=hyp, rect=False
        )
        facts["corrupt"] += len(list(Path(data[split]).iterdir())) - len(dataset)
        for item in dataset:
            height, width = item["ori_shape"]
            index = int(Path(item["im_file"]).stem)
            if len(item["cls"]) == 0:
                rows.append({"index": index, "mask": np.zeros((height, width), bool)})
                continue
            top, left = (128 - height) // 2, (128 - width) // 2
            mask = np.asarray(item["masks"][0]) > 0
            x, y, w, h = (np.asarray(item["bboxes"][0]) * 128).tolist()
            box = [x - w / 2 - left, y - h / 2 - top, x + w / 2 - left, y + h / 2 - top]
            row = {"index": index, "category": data["names"][int(item["cls"][0])], "box": box}
            rows.append(row | {"mask": mask[top : top + height, left : left + width]})
    return rows, facts


def _supervision(dataset: Any) -> list[dict[str, Any]]:
    rows = []
    for path, _, found in dataset:
        if len(found) == 0:
            continue
        row = {
            "index": int(Path(path).stem),
            "category": dataset.classes[found.class_id[0]],
            "box": found.xyxy[0].tolist(),
        }
        masks = {} if found.mask is None else {"mask": np.asarray(found.mask[0]).astype(bool)}
        rows.append(row | masks)
    return rows


def supervision_coco(folder: Path) -> Found:
    from supervision import DetectionDataset

    rows = []
    for split in splits_of(folder):
        notes = str(folder / "annotations" / f"instances_{split}.json")
        rows += _supervision(DetectionDataset.from_coco(str(folder / "images" / split), notes, force_masks=True))
    return rows, {}


def supervision_yolo(folder: Path) -> Found:
    from supervision import DetectionDataset

    rows = []
    for images in sorted((folder / "images").iterdir()):
        paths = (str(images), str(folder / "labels" / images.name), str(folder / "data.yaml"))
        rows += _supervision(DetectionDataset.from_yolo(*paths, force_masks=True))
    return rows, {}


def supervision_voc(folder: Path) -> Found:
    """Boxes alone: VOC's XML has no outlines."""
    from supervision import DetectionDataset

    root = folder / "VOCdevkit" / "VOC2012"
    return _supervision(DetectionDataset.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))), {}
