"""COCO's fields beyond masks and names: scores, dates, licences, and the types of numbers that readers go by."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.config.export import ExportConfig
from models.cut.masks import box
from tests.storage.exports.conftest import export


@pytest.mark.parametrize("masks", ["polygons", "rle"])
@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_coco_scores_its_own_masks_with_one(dataset, tmp_path, masks, kind):
    out = export(dataset, tmp_path / "out", "coco", masks=masks)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(out / "annotations/instances_train.json")
        found = truth.loadRes([note | {"score": 1.0} for note in truth.dataset["annotations"]])
        scores = COCOeval(truth, found, kind)
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    assert scores.stats[0] == 1 and scores.stats[8] == 1


def test_coco_names_its_version_and_its_licence(dataset, tmp_path):
    """Dates are the version's, so that the same export is the same file on any day."""
    for name, licence in (("none", None), ("spdx", "CC-BY-4.0"), ("link", "https://example.org/terms")):
        out = export(dataset, tmp_path / name, "coco", license=licence)
        told = json.loads((out / "annotations/instances_val.json").read_text())
        assert told["info"]["version"] == "v1" and told["info"]["description"] == dataset.path.name
        assert told["info"]["year"] == int(told["info"]["date_created"][:4])
        (entry,) = told["licenses"]
        assert entry["name"] == (licence or "not named") and entry["url"] == (licence if name == "link" else "")
        assert {image["license"] for image in told["images"]} == {entry["id"]}


def test_torchvision_reads_coco_boxes_in_floats(dataset, tmp_path):
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    for masks in ("polygons", "rle"):
        out = export(dataset, tmp_path / masks, "coco", masks=masks)
        with contextlib.redirect_stdout(io.StringIO()):
            read = CocoDetection(out / "images/train", out / "annotations/instances_train.json")
        for image, target in wrap_dataset_for_transforms_v2(read, target_keys=("boxes", "masks", "image_id")):
            sample = dataset[target["image_id"] - 1]
            np.testing.assert_array_equal(image, sample.image)
            if sample.mask.any():
                assert target["boxes"].is_floating_point() and target["boxes"].tolist() == [list(box(sample.mask))]
                np.testing.assert_array_equal(target["masks"][0], sample.mask)


def test_run_lengths_are_of_coco_alone():
    with pytest.raises(ValueError, match="rle is for format coco alone, got format yolo"):
        ExportConfig(format="yolo", masks="rle")
