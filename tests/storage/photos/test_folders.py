"""Every benchmark's layout on tiny folders made here, and what is refused; real photographs where there are any."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage.photos.folders import BOXED, LAYOUTS, Layout, open_folder

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
RNG = np.random.default_rng(0)

# How the sets lie on disk when unpacked: photos' folder and suffix, masks' folder and suffix.
OFFICIAL = {
    "ECSSD": ("images", ".jpg", "ground_truth_mask", ".png"),
    "DUTS-TR": ("DUTS-TR-Image", ".jpg", "DUTS-TR-Mask", ".png"),
    "DUTS-TE": ("DUTS-TE-Image", ".jpg", "DUTS-TE-Mask", ".png"),
    "DUT-OMRON": ("DUT-OMRON-image", ".jpg", "pixelwiseGT-new-PNG", ".png"),
    "PASCAL-S": ("datasets/imgs/pascal", ".jpg", "datasets/masks/pascal", ".png"),
    "HKU-IS": ("imgs", ".png", "gt", ".png"),
    **{f"DIS-{p}": (f"DIS-{p}/im", ".jpg", f"DIS-{p}/gt", ".png") for p in ("TR", "VD", "TE1", "TE2", "TE3", "TE4")},
    "folder": ("images", ".webp", "masks", ".bmp"),
}


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def photo(height=6, width=8) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_pairs(root: Path, photos: str, suffix: str, masks: str, mask_suffix: str, names) -> dict[str, np.ndarray]:
    truths = {name: RNG.random((6, 8)) > 0.5 for name in names}
    for name, truth in truths.items():
        save(root / photos / f"{name}{suffix}", photo())
        save(root / masks / f"{name}{mask_suffix}", truth.astype(np.uint8) * 255)
    return truths


def check(benchmark, truths: dict[str, np.ndarray]) -> None:
    assert len(benchmark) == len(truths) and benchmark.names == tuple(sorted(truths)) and not benchmark.has_boxes
    for i, name in enumerate(benchmark.names):
        image, mask = benchmark.pair(i)
        assert image.shape == (6, 8, 3) and image.dtype == np.uint8
        np.testing.assert_array_equal(mask, truths[name])
        assert Path(benchmark.photos[i]).with_suffix("").as_posix().endswith(name)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_layouts(tmp_path, name):
    truths = write_pairs(tmp_path, *OFFICIAL[name], ["0001", "b#x.y"])
    check(open_folder(name, tmp_path), truths)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_set_may_lie_in_images_and_masks(tmp_path, name):
    truths = write_pairs(tmp_path, "images", ".jpg", "masks", ".png", ["1", "2"])
    check(open_folder(name, tmp_path), truths)


def test_one_folder_of_dis5k(tmp_path):
    truths = write_pairs(tmp_path, "im", ".jpg", "gt", ".png", ["1"])
    check(open_folder("DIS-TE3", tmp_path), truths)


def test_pascal_s_in_one_folder(tmp_path):
    truths = write_pairs(tmp_path, "Imgs", ".jpg", "Imgs", ".png", ["1", "2"])
    check(open_folder("PASCAL-S", tmp_path), truths)


def test_a_layout_of_ones_own(tmp_path):
    truths = write_pairs(tmp_path, "a/photos", ".tif", "b", ".jpg", ["deep/er/1", "deep/er/2"])
    truths = {name: np.asarray(Image.open(tmp_path / f"b/{name}.jpg")) > 127 for name in truths}
    check(open_folder(Layout((("a/photos", "b"),)), tmp_path), truths)


def write_cub(root: Path) -> dict[str, np.ndarray]:
    names = ["001.Black/a_1", "001.Black/a_2", "002.Laysan/b_1", "002.Laysan/b_2"]
    truths = write_pairs(root, "images", ".jpg", "segmentations", ".png", names)
    (root / "images.txt").write_text("".join(f"{i} {name}.jpg\n" for i, name in enumerate(names, 1)))
    (root / "train_val_test_split.txt").write_text("1 0\n2 2\n3 1\n4 2\n")
    return {names[1]: truths[names[1]], names[3]: truths[names[3]]}


def test_cub_is_its_test_part(tmp_path):
    truths = write_cub(tmp_path)
    (tmp_path / "images/001.Black/a_1.jpg").unlink()  # of the training part: not missed
    check(open_folder("CUB-200", tmp_path), truths)


def test_what_is_wrong_with_a_cub_folder_is_said(tmp_path):
    write_cub(tmp_path)
    (tmp_path / "images/001.Black/a_2.jpg").unlink()
    with pytest.raises(ValueError, match=r"no photo for the listed 001\.Black/a_2;"):
        open_folder("CUB-200", tmp_path)
    (tmp_path / "train_val_test_split.txt").write_text("1 2 3\n")
    with pytest.raises(ValueError, match=r"split\.txt: expected a number and one word per line, found '1 2 3'"):
        open_folder("CUB-200", tmp_path)
    (tmp_path / "train_val_test_split.txt").unlink()
    with pytest.raises(ValueError, match=r"split\.txt: expected the set's list"):
        open_folder("CUB-200", tmp_path)


def write_voc(home: Path, objects: dict[str, list[tuple[int, int, int, int]]]) -> None:
    """Boxes as VOC has them: counted from 1, the last pixel included; a part with a box of its own is no object."""
    for name, boxes in objects.items():
        save(home / f"JPEGImages/{name}.jpg", photo())
        corners = [f"<xmax>{x1}</xmax><xmin>{x0}</xmin><ymax>{y1}</ymax><ymin>{y0}</ymin>" for x0, y0, x1, y1 in boxes]
        head = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        body = "".join(f"<object><difficult>1</difficult><bndbox>{c}</bndbox>{head}</object>" for c in corners)
        (home / "Annotations").mkdir(exist_ok=True)
        (home / f"Annotations/{name}.xml").write_text(f"<annotation>{body}</annotation>")
    (home / "ImageSets/Main").mkdir(parents=True)
    (home / "ImageSets/Main/trainval.txt").write_text("".join(f"{name}\n" for name in objects))


@pytest.mark.parametrize("name, year", [("VOC07", 2007), ("VOC12", 2012)])
@pytest.mark.parametrize("place", ["", "VOC{}", "VOCdevkit/VOC{}"])
def test_voc_boxes_count_from_0_and_exclude_their_ends(tmp_path, name, year, place):
    home = tmp_path / place.format(year)
    write_voc(home, {"000007": [(1, 1, 8, 6)], "000005": [(2, 3, 4, 5), (8, 6, 8, 6)]})
    save(home / "JPEGImages/000006.jpg", photo())  # of the test part
    benchmark = open_folder(name, tmp_path)
    assert benchmark.names == ("000007", "000005") and benchmark.has_boxes
    image, boxes = benchmark.pair(0)
    assert image.shape == (6, 8, 3)
    np.testing.assert_array_equal(boxes, [[0, 0, 8, 6]])  # the whole photo
    np.testing.assert_array_equal(benchmark.pair(1)[1], [[1, 2, 4, 5], [7, 5, 8, 6]])


def test_what_is_wrong_with_a_voc_folder_is_said(tmp_path):
    with pytest.raises(ValueError, match="expected VOC2007 with Annotations"):
        open_folder("VOC07", tmp_path)
    write_voc(tmp_path, {"1": [(1, 1, 2, 2)], "2": [(1, 1, 2, 2)]})
    (tmp_path / "Annotations/1.xml").write_text("<annotation><object>")
    with pytest.raises(ValueError, match=r"1\.xml: expected a VOC annotation"):
        open_folder("VOC07", tmp_path)
    (tmp_path / "Annotations/1.xml").write_text("<a><object><bndbox><xmin>1</xmin></bndbox></object></a>")
    with pytest.raises(ValueError, match=r"1\.xml: expected a VOC annotation"):
        open_folder("VOC07", tmp_path)
    (tmp_path / "Annotations/1.xml").unlink()
    (tmp_path / "JPEGImages/2.jpg").unlink()
    with pytest.raises(ValueError, match=r"found no Annotations/1\.xml, JPEGImages/2\.jpg"):
        open_folder("VOC07", tmp_path)


def write_coco(root: Path, photos: str) -> None:
    names = [f"COCO_train2014_{i:012d}.jpg" for i in (9, 25, 30, 34)]
    for name in names:
        save(root / photos / name, photo())
    outline = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
    boxes = [(25, [1.6, 2.0, 3.5, 2.4], 0), (9, [0, 0, 8, 6], 0), (9, [1, 1, 5, 5], 1), (34, [2, 2, 2, 2], 0)]
    entries = [{"image_id": i, "bbox": b, "iscrowd": c, "segmentation": outline} for i, b, c in boxes]
    images = [{"id": int(name[-16:-4]), "file_name": name} for name in names]
    (root / "annotations").mkdir()
    (root / "annotations/instances_train2014.json").write_text(json.dumps({"images": images, "annotations": entries}))
    (root / "coco_20k_filenames.txt").write_text("".join(f"train2014/{names[k]}\n" for k in (1, 0, 2)))


@pytest.mark.parametrize("photos", ["train2014", "images/train2014"])
def test_coco_boxes_are_of_the_listed_without_crowds(tmp_path, photos):
    write_coco(tmp_path, photos)
    benchmark = open_folder("COCO20K", tmp_path)
    assert [int(name[-12:]) for name in benchmark.names] == [25, 9, 30] and benchmark.has_boxes
    np.testing.assert_array_equal(benchmark.pair(0)[1], [[2, 2, 5, 4]])  # corners rounded, not sizes
    np.testing.assert_array_equal(benchmark.pair(1)[1], [[0, 0, 8, 6]])
    assert benchmark.pair(2)[1].shape == (0, 4)


def test_what_is_wrong_with_a_coco_folder_is_said(tmp_path):
    with pytest.raises(ValueError, match="expected the folder train2014"):
        open_folder("COCO20K", tmp_path)
    write_coco(tmp_path, "train2014")
    annotations = tmp_path / "annotations/instances_train2014.json"
    annotations.write_text(annotations.read_text().replace("000025", "000026"))
    with pytest.raises(ValueError, match="annotations: .*found no COCO_train2014_000000000025"):
        open_folder("COCO20K", tmp_path)
    annotations.write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"train2014\.json: expected COCO annotations.*'annotations'"):
        open_folder("COCO20K", tmp_path)
    (tmp_path / "train2014/COCO_train2014_000000000009.jpg").unlink()
    with pytest.raises(ValueError, match="found no COCO_train2014_000000000009"):
        open_folder("COCO20K", tmp_path)


LISTS = {
    "a byte order mark": ("utf-8-sig", "\n"),
    "as Notepad saves them": ("utf-8-sig", " \r\n"),
    "UTF-16": ("utf-16", "\r\n"),
    "blank lines": ("utf-8", "\t\n\n"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_as_editors_save_them(tmp_path, kind):
    encoding, newline = LISTS[kind]
    write_voc(tmp_path / "voc", {"000007": [(1, 1, 8, 6)], "000005": [(2, 3, 4, 5)]})
    write_coco(tmp_path / "coco", "train2014")
    names = {"VOC07": "voc/ImageSets/Main/trainval.txt", "COCO20K": "coco/coco_20k_filenames.txt"}
    for name, file in names.items():
        folder = tmp_path / file.partition("/")[0]
        before = open_folder(name, folder)
        lines = (tmp_path / file).read_text().splitlines()
        (tmp_path / file).write_bytes("".join(line + newline for line in lines).encode(encoding))
        assert open_folder(name, folder).names == before.names
    (tmp_path / "coco/coco_20k_filenames.txt").write_text("train2014\\COCO_train2014_000000000025.jpg\n")
    assert open_folder("COCO20K", tmp_path / "coco").names == ("COCO_train2014_000000000025",)


def test_a_list_that_is_not_text_is_refused(tmp_path):
    write_voc(tmp_path, {"1": [(1, 1, 2, 2)]})
    (tmp_path / "ImageSets/Main/trainval.txt").write_bytes("1\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"trainval\.txt: .*got a file that is not text"):
        open_folder("VOC07", tmp_path)


def test_listed_names_pair_with_files_in_the_other_form_of_unicode_and_of_other_bytes(tmp_path):
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    write_voc(tmp_path, {"e\u0301t": [(1, 1, 2, 2)], "plain": [(1, 1, 3, 3)]})
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (tmp_path / f"{folder}/plain.{suffix}").rename(tmp_path / f"{folder}/{latin}.{suffix}")
    (tmp_path / "ImageSets/Main/trainval.txt").write_bytes("\u00e9t\n".encode() + b"caf\xe9\n")
    benchmark = open_folder("VOC07", tmp_path)
    assert benchmark.names == ("e\u0301t", latin) and benchmark.labels[1] == "caf%E9"
    np.testing.assert_array_equal(benchmark.pair(1)[1], [[0, 0, 3, 3]])


def test_unpaired_files_are_refused_by_name(tmp_path):
    write_pairs(tmp_path, "images", ".jpg", "masks", ".png", [f"{i:02d}" for i in range(9)])
    (tmp_path / "masks/03.png").unlink()
    with pytest.raises(ValueError, match=r"no mask for .*03\.jpg;"):
        open_folder("folder", tmp_path)
    (tmp_path / "images/03.jpg").unlink()
    for i in range(7):
        (tmp_path / f"images/{i:02d}.jpg").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"no photo for .*00\.png, .*01\.png, .*05\.png and 1 more;"):
        open_folder("folder", tmp_path)


def test_other_and_hidden_files_are_left_out_and_doubles_refused(tmp_path):
    truths = write_pairs(tmp_path, "images", ".JPG", "masks", ".png", ["1"])
    for clutter in ("images/Thumbs.db", "images/._1.jpg", "masks/README.txt", "masks/.hidden/2.png"):
        (tmp_path / clutter).parent.mkdir(exist_ok=True)
        (tmp_path / clutter).write_text("x")
    check(open_folder("folder", tmp_path), truths)
    save(tmp_path / "images/1.png", photo())
    with pytest.raises(ValueError, match=r"expected one file per name, found .*1\.JPG and .*1\.png"):
        open_folder("folder", tmp_path)


def test_empty_and_absent_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected the folders images and ground_truth_mask, or images and masks"):
        open_folder("ECSSD", tmp_path)
    for folder in ("images", "ground_truth_mask"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=r"images: expected photos \(\.jpg"):
        open_folder("ECSSD", tmp_path)
    with pytest.raises(ValueError, match="expected the folders"):
        open_folder("ECSSD", tmp_path / "absent")


def test_an_unknown_name_is_answered_with_the_known(tmp_path):
    with pytest.raises(ValueError, match="expected a benchmark among ECSSD, .*COCO20K, got ECSDD; .* folder"):
        open_folder("ECSDD", tmp_path)
    assert not set(LAYOUTS) & set(BOXED)


def test_failing_files_are_named(tmp_path):
    write_pairs(tmp_path, "images", ".png", "masks", ".png", ["1", "2", "3"])
    (tmp_path / "images/1.png").write_bytes((tmp_path / "images/1.png").read_bytes()[:60])
    (tmp_path / "masks/2.png").write_text("no picture")
    save(tmp_path / "masks/3.png", np.zeros((8, 6), np.uint8))
    benchmark = open_folder("folder", tmp_path)
    for i, message in enumerate((r"images/1\.png: ", r"masks/2\.png: ", r"masks/3\.png: .*3\.png.*8 x 6 and 6 x 8")):
        with pytest.raises(ValueError, match=message):
            benchmark.pair(i)


def test_a_turned_photo_meets_an_upright_mask(tmp_path):
    exif, truth = Image.Exif(), RNG.random((8, 6)) > 0.5
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(photo()).save(tmp_path / "images/1.jpg", exif=exif)
    save(tmp_path / "masks/1.png", truth.astype(np.uint8) * 255)
    image, mask = open_folder("folder", tmp_path).pair(0)
    assert image.shape == (8, 6, 3)
    np.testing.assert_array_equal(mask, truth)


@pytest.mark.parametrize("name, count", [("ECSSD", 500), ("DUTS-TR", 3000)])
def test_real_photographs(name, count):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {name} in {SHARED}: the photographs have no licence to be shipped")
    benchmark = open_folder(name, SHARED / name)
    assert len(benchmark) == count
    for i in range(0, count, count // 10):
        image, mask = benchmark.pair(i)
        assert image.shape[:2] == mask.shape and 0 < mask.mean() < 1
