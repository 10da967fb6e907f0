"""Each format read by its own readers gives the dataset's images, masks, classes and prompts again."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
import zarr
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from skimage.draw import polygon2mask

from models.config.export import ExportConfig
from models.cut.masks import box
from storage.dataset.reader import Dataset
from storage.exports import format_of
from storage.exports.plan import plan_export
from storage.photos.boxes import voc_boxes
from storage.photos.folders import open_folder
from tests.storage.exports.conftest import CLASSES, SIZE, export, write_dataset

SPLITS = {"train": 14, "val": 4, "test": 2}  # of 20 kept


@pytest.fixture(scope="module")
def exported(dataset, tmp_path_factory):
    """The export in a format, made once."""
    made: dict[str, Path] = {}

    def of(form: str) -> Path:
        if form not in made:
            made[form] = export(dataset, tmp_path_factory.mktemp("exports") / form, form)
        return made[form]

    return of


def assert_same(dataset: Dataset, found: dict[int, tuple], split: str | None = None) -> None:
    """found: by index (image, mask, category); exact. All kept samples, or those of a split by their number."""
    if split:
        assert len(found) == SPLITS[split]
    else:
        assert sorted(found) == dataset.kept().tolist()
    for index, (image, mask, category) in found.items():
        sample = dataset[index]
        np.testing.assert_array_equal(image, sample.image)
        np.testing.assert_array_equal(mask, sample.mask)
        assert category == sample.category


@pytest.mark.parametrize("masks", ["polygons", "rle"])
def test_coco(dataset, tmp_path, masks, capsys):
    out, found = export(dataset, tmp_path / "out", "coco", masks=masks), {}
    for split in SPLITS:
        coco = COCO(out / f"annotations/instances_{split}.json")
        assert [category["name"] for category in coco.loadCats(range(1, 6))] == CLASSES
        assert coco.getCatIds(supNms=["object"]) == [1, 2, 3, 4, 5]
        for image in coco.loadImgs(coco.getImgIds()):
            notes = coco.loadAnns(coco.getAnnIds(image["id"]))
            mask = coco.annToMask(notes[0]) if notes else np.zeros(SIZE, bool)
            index = image["id"] - 1
            category = CLASSES[notes[0]["category_id"] - 1] if notes else dataset[index].category
            picture = np.asarray(Image.open(out / "images" / split / image["file_name"]))
            found[index] = (picture, mask, category)
            assert image["prompt"] == dataset[index].prompt and (image["height"], image["width"]) == SIZE
            for note in notes:
                box = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask)))
                assert note["bbox"] == box.tolist() and note["area"] == mask.sum() and note["iscrowd"] == 0
                assert {type(value) for value in [*note["bbox"], note["area"]]} == {float}
                assert isinstance(note["segmentation"], dict) == (masks == "rle")
    assert_same(dataset, found)


def test_yolo(dataset, exported):
    """Read with skimage, which takes a pixel by its centre; and that pycocotools draws the same."""
    out, found = exported("yolo"), {}
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert data["names"] == dict(enumerate(CLASSES)) and list(data)[:3] == list(SPLITS)
    for split in SPLITS:
        for file in sorted((out / data[split]).iterdir()):
            label = Path(str(file).replace("/images/", "/labels/")).with_suffix(".txt").read_text()
            index, mask, category = int(file.stem), np.zeros(SIZE, bool), dataset[int(file.stem)].category
            if label:
                number, *values = label.split()
                points = np.array(values, float).reshape(-1, 2) * SIZE[::-1]
                mask, category = polygon2mask(SIZE, points[:, ::-1] - 0.5), CLASSES[int(number)]
                drawn = coco_mask.decode(coco_mask.frPyObjects([points.ravel().tolist()], *SIZE))[..., 0]
                np.testing.assert_array_equal(drawn, mask)
            found[index] = (np.asarray(Image.open(file)), mask, category)
    assert_same(dataset, found)


def test_yolo_says_how_its_reader_sees_the_masks(dataset, exported):
    """Drawn again with OpenCV; masks that are one ring come back as they are."""
    cv2 = pytest.importorskip("cv2")
    ious = {}
    for file in exported("yolo").glob("labels/*/*.txt"):
        if values := file.read_text().split()[1:]:
            points = np.float32(values).reshape(-1, 2) * np.float32(SIZE[::-1])
            drawn = cv2.fillPoly(np.zeros(SIZE, np.uint8), [points.astype(np.int32)], 1) > 0
            mask = dataset[int(file.stem)].mask
            ious[int(file.stem)] = (drawn & mask).sum() / (drawn | mask).sum()
    assert ious[1] == ious[3] == 1 and len(ious) == 19
    card = (exported("yolo") / "README.md").read_text()
    assert f"{np.mean(list(ious.values())):.3f} mean IoU" in card and f"{min(ious.values()):.3f} lowest IoU" in card


def test_names_of_classes_come_back_from_yaml(tmp_path):
    names = ["null", "yes", "1e3", "a: b", "- x", "#", "~", "é🌟", "n/a", "[1]", "0x1", "2020-01-01", "{", "x" * 200]
    out = export(write_dataset(tmp_path / "data", 10, {"classes": names}), tmp_path / "out", "yolo", split="1")
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == dict(enumerate(names))


def test_voc(dataset, exported):
    """Masks and boxes exact; images as near as JPEG of quality 95 leaves noise."""
    names = dict(zip(CLASSES, voc_labels(exported("voc"))[1:], strict=True))
    assert [names[name] == name for name in CLASSES] == [True, True, True, False, True]
    root, found = exported("voc") / "VOCdevkit/VOC2012", {}
    boxes = {int(path.stem): box for path, box in voc_boxes(exported("voc"), 2012).items()}
    assert len(boxes) == SPLITS["train"] + SPLITS["val"]
    for split in SPLITS:
        for name in (root / f"ImageSets/Segmentation/{split}.txt").read_text().split():
            index, notes = int(name), ElementTree.parse(root / f"Annotations/{name}.xml").getroot()
            labels = np.asarray(Image.open(root / f"SegmentationClass/{name}.png"))
            objects = np.asarray(Image.open(root / f"SegmentationObject/{name}.png"))
            category, mask = dataset[index].category, labels > 0
            if mask.any():
                # As labelmap.txt has it, in which a name with : would be cut.
                assert notes.findtext("object/name") == names[category]
                assert set(labels[mask]) == {CLASSES.index(category) + 1}
                box = [int(notes.findtext(f"object/bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
                rows, columns = np.nonzero(mask)
                assert box == [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]
            else:
                assert notes.find("object") is None
            assert set(objects.ravel()) <= {0, 1} and np.array_equal(objects > 0, mask)
            image = np.asarray(Image.open(root / f"JPEGImages/{name}.jpg"))
            assert np.abs(image.astype(int) - dataset[index].image).mean() < 4
            found[index] = (dataset[index].image, mask, category)
    assert_same(dataset, found)
    assert Image.open(root / "SegmentationClass/000000.png").getpalette()[:12] == [
        0,
        0,
        0,
        128,
        0,
        0,
        0,
        128,
        0,
        128,
        128,
        0,
    ]


def voc_labels(out: Path) -> list[str]:
    """The names in labelmap.txt, read as datumaro and CVAT do."""
    lines = (out / "VOCdevkit/VOC2012/labelmap.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.strip().split(":") for line in lines if line.strip() and not line.startswith("#")]
    assert all(len(row) == 4 and len(row[1].split(",")) == 3 for row in rows) and len(lines) == len(rows)
    assert len({name for name, *_ in rows}) == len({colour for _, colour, *_ in rows}) == len(rows)
    return [name for name, *_ in rows]


def test_vocs_names_fit_a_labelmap_and_stay_apart(tmp_path, capsys):
    names = ["a:b", "a_b", "#x", "background", "a b", "a\nb", "_x", "", "::"]
    dataset = write_dataset(tmp_path / "data", 10, {"classes": names})
    out = export(dataset, tmp_path / "out", "voc", split="1")
    labels = voc_labels(out)
    assert labels == ["background", "a_b (2)", "a_b", "_x (2)", "background (2)", "a b", "a b (2)", "_x", "class", "__"]
    for index in dataset.kept().tolist():
        told = ElementTree.parse(out / f"VOCdevkit/VOC2012/Annotations/{index:06d}.xml").findtext("object/name")
        assert told in (None, labels[1 + names.index(dataset[index].category)])
    assert "6 class names changed" in (out / "README.md").read_text()


@pytest.mark.parametrize("form", ["voc", "semantic"])
def test_more_classes_than_a_byte_has_are_refused(dataset, form):
    plan = plan_export(dataset, ExportConfig(format=form), "0")
    format_of(form).check(replace(plan, classes=tuple(map(str, range(254)))))
    with pytest.raises(ValueError, match="at most 254 classes, the dataset has 255"):
        format_of(form).check(replace(plan, classes=tuple(map(str, range(255)))))


@pytest.mark.parametrize("mode", ["Pillow", "OpenCV"])
def test_semantic(dataset, exported, mode):
    """By its lists, with the two libraries that trainers read label maps with."""
    cv2, out, found = pytest.importorskip("cv2"), exported("semantic"), {}
    names = (out / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert names == ["background", *CLASSES]
    for split, count in SPLITS.items():
        pairs = [line.split() for line in (out / f"{split}.txt").read_text().splitlines()]
        assert len(pairs) == count
        for image, mask in pairs:
            index = int(Path(image).stem)
            as_numbers = {
                "Pillow": lambda path: np.asarray(Image.open(path)),
                "OpenCV": lambda path: cv2.imread(path, -1),
            }
            labels = as_numbers[mode](str(out / mask))
            assert labels.dtype == np.uint8 and labels.shape == SIZE
            present = [names[value] for value in np.unique(labels) if value] or [dataset[index].category]
            found[index] = (np.asarray(Image.open(out / image)), labels > 0, *present)
    assert_same(dataset, found)


@pytest.mark.parametrize("split", SPLITS)
def test_folders(dataset, exported, split):
    pairs = open_folder("DUTS-TR", exported("folders") / split)
    found = {int(name): (*pairs.pair(i), dataset[int(name)].category) for i, name in enumerate(pairs.names)}
    assert_same(dataset, found, split)


@pytest.mark.parametrize("way", ["imagefolder", "the card"])
def test_folders_are_pairs_to_hugging_face(dataset, exported, way, tmp_path):
    import datasets

    out = str(exported("folders"))
    where = {"path": "imagefolder", "data_dir": out} if way == "imagefolder" else {"path": out}
    for split, rows in datasets.load_dataset(**where, cache_dir=str(tmp_path)).items():
        found = {row["index"]: (np.asarray(row["image"]), np.asarray(row["mask"]) > 0, row["category"]) for row in rows}
        assert_same(dataset, found, {"validation": "val"}.get(split, split))  # `datasets` has a word of its own
        assert [CLASSES[label] for label in rows["label"]] == rows["category"]
        assert rows["prompt"] == [dataset[index].prompt for index in rows["index"]]


@pytest.mark.parametrize("names", [["null", "ball"], ["1", "2"], ["true", "false"], ["1e3", "x", "nan"]])
def test_pairs_keep_their_labels_where_pandas_would_misread_the_names(tmp_path, names):
    import datasets

    dataset = write_dataset(tmp_path / "data", 10, {"classes": names})
    out = export(dataset, tmp_path / "out", "folders", split="0.5,0.5")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    rows = [row for split in loaded.values() for row in split]
    assert {row["index"]: names[row["label"]] for row in rows} == {
        i: dataset[i].category for i in dataset.kept().tolist()
    }
    assert "category" not in rows[0] and "1 columns left out of metadata.csv" in (out / "README.md").read_text()


@pytest.mark.parametrize("split", SPLITS)
def test_webdataset(dataset, exported, split):
    import webdataset

    shards = sorted(map(str, exported("webdataset").glob(f"{split}-*.tar")))
    found = {}
    for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
        index, told = int(sample["__key__"]), sample["json"]
        assert told["prompt"] == dataset[index].prompt and told["seed"] == dataset[index].seed
        assert told["category"] == CLASSES[sample["cls"]]
        found[index] = (np.asarray(sample["png"]), np.asarray(sample["mask.png"])[..., 0] > 0, told["category"])
    assert_same(dataset, found, split)


@pytest.mark.parametrize("split", SPLITS)
def test_hugging_face(dataset, exported, split, tmp_path):
    import datasets

    loaded = datasets.load_dataset(str(exported("hf")), split=split, cache_dir=str(tmp_path))
    assert loaded.features["label"].names == CLASSES and isinstance(loaded.features["mask"], datasets.Image)
    assert loaded["prompt"] == [dataset[index].prompt for index in loaded["index"]]
    found = {
        row["index"]: (np.asarray(row["image"]), np.asarray(row["mask"]) > 0, CLASSES[row["label"]]) for row in loaded
    }
    assert_same(dataset, found, split)


@pytest.mark.parametrize("split", SPLITS)
def test_hugging_face_reads_webdataset_by_the_card(dataset, exported, split, tmp_path):
    import datasets

    loaded = datasets.load_dataset(str(exported("webdataset")), split=split, cache_dir=str(tmp_path))
    found = {
        int(row["__key__"]): (np.asarray(row["png"]), np.asarray(row["mask.png"]) > 0, row["json"]["category"])
        for row in loaded
    }
    assert_same(dataset, found, split)


def test_zarr(dataset, exported):
    """Every array of every sample, in a folder of its own that says nothing of Icechunk."""
    root = zarr.open_group(exported("zarr") / "data.zarr", mode="r")
    text = {name for name, array in root["train"].arrays() if array.metadata.to_dict()["data_type"] == "string"}
    assert text == {"category", "phrase", "prompt", "prompt_source"}  # docs/exports.md names them: not for tensorstore
    assert isinstance(root.store, zarr.storage.LocalStore) and root.metadata.zarr_format == 3
    assert root.attrs["config"] == dataset.config and root.attrs["classes"] == CLASSES
    found = {}
    for split in SPLITS:
        indices = root[split]["index"][:]
        assert set(root[split].array_keys()) == set(dataset.group.array_keys()) - {"status", "reason"} | {
            "index",
            "label",
        }
        for name in set(dataset.group.array_keys()) - {"status", "reason"}:
            stored = dataset.group[name].oindex[indices]
            expected = [box(dataset[index].mask) for index in indices.tolist()] if name == "box" else stored
            np.testing.assert_array_equal(root[split][name][:], expected, err_msg=name)
        labels, images, masks = (root[split][name][:] for name in ("label", "image", "mask"))
        rows = zip(images, masks, [CLASSES[label] for label in labels], strict=True)
        found |= dict(zip(indices.tolist(), rows, strict=True))
    assert_same(dataset, found)
