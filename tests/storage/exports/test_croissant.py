"""Croissant metadata is valid, and mlcroissant reads the table, the images, the masks and their pairs by it."""

import json
from importlib.metadata import version

import mlcroissant
import numpy as np
import pytest

from models.config.export import FORMATS
from tests.storage.exports.conftest import CLASSES, export, write_dataset


def described(out):
    found = mlcroissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_it_is_valid_and_reads_the_table(dataset, tmp_path, form):
    out = export(dataset, tmp_path / "out", form)
    found = described(out)
    assert "config.yaml" in found.metadata.description
    assert f"maskmill {version('maskmill')}" in found.metadata.description
    rows = list(found.records("samples"))
    assert sorted(row["samples/index"] for row in rows) == dataset.kept().tolist()
    assert {row["samples/category"].decode() for row in rows} <= set(CLASSES)
    for each in json.loads((out / "croissant.json").read_text())["distribution"]:
        assert list(out.glob(each.get("includes", each.get("contentUrl"))))


@pytest.mark.parametrize("form", ["folders", "semantic", "hf", "voc"])
def test_images_come_with_their_masks(dataset, tmp_path, form):
    rows = list(described(export(dataset, tmp_path / "out", form)).records("pairs"))
    assert len(rows) == len(dataset.kept())
    for row in rows:
        sample = dataset[int(row["pairs/index"] if form == "hf" else row["pairs/name"])]
        image, mask = (np.asarray(row[f"pairs/{kind}"].convert("RGB")) for kind in ("image", "mask"))
        assert form == "voc" or np.array_equal(image, sample.image)
        np.testing.assert_array_equal(mask.any(axis=2), sample.mask)


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_images_are_described_where_masks_are_no_files(dataset, tmp_path, form):
    rows = list(described(export(dataset, tmp_path / "out", form)).records("image"))
    assert sorted(int(row["image/name"]) for row in rows) == dataset.kept().tolist()
    for row in rows:
        np.testing.assert_array_equal(row["image/image"], dataset[int(row["image/name"])].image)


@pytest.mark.parametrize("names", [["null", "NA"], ["1", "2"], ["true", "nan"]])
def test_any_name_of_a_class_is_read(tmp_path, names):
    dataset = write_dataset(tmp_path / "data", 10, {"classes": names})
    found = described(export(dataset, tmp_path / "out", "coco", split="1", license="CC-BY-4.0"))
    assert found.metadata.license == ["CC-BY-4.0"]
    told = {row["samples/index"]: row["samples/category"].decode() for row in found.records("samples")}
    assert told == {index: dataset[index].category for index in dataset.kept().tolist()}
