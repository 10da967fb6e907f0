"""What comes back from other tools: nothing where nothing was drawn, exactly what was drawn, and refusals in a line."""

import json
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from models.config.export import FORMATS
from models.errors import UserError
from storage.dataset.reader import Dataset, open_dataset
from storage.mending.plan import READERS, Source, plan_mends
from tests.storage.exports.conftest import SIZE, export, write_dataset
from tests.storage.mending.people import redraw

FORMS = [form for form in READERS if form in FORMATS]
DRAWN = np.zeros(SIZE, bool)
DRAWN[3:9, 5:30], DRAWN[5, 10] = True, False


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("mending") / "data")


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory):
    """A copy of an export in a format; made once."""
    folder = tmp_path_factory.mktemp("exported")
    for form in FORMS:
        export(data, folder / form, form)

    def copy(form: str, to: Path) -> Path:
        return shutil.copytree(folder / form, to)

    return copy


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_nobody_touched_changes_nothing(data, exported, tmp_path, form):
    mends = plan_mends(data.path, Source(redraw(form, exported(form, tmp_path / "out"), {}), form))
    assert mends.samples == [] and mends.base == "v1"


@pytest.mark.parametrize("form", FORMS)
def test_what_was_drawn_comes_back_to_the_pixel(data, exported, tmp_path, form):
    masks = {2: DRAWN, 7: np.zeros(SIZE, bool), 8: ~DRAWN, 10: ~data[10].mask}
    mends = plan_mends(data.path, Source(redraw(form, exported(form, tmp_path / "out"), masks), form))
    assert {each.index for each in mends.samples} == masks.keys()
    for each in mends.samples:
        np.testing.assert_array_equal(each.mask, masks[each.index])
    assert mends.counts() == {"masks": 4, "emptied": 1, "rejected": 0}


@pytest.mark.parametrize("form", ["cvat", "labelstudio"])
def test_a_sample_is_rejected_by_its_tag(data, exported, tmp_path, form):
    source = redraw(form, exported(form, tmp_path / "out"), {2: DRAWN}, rejected=(2, 3))
    mends = plan_mends(data.path, Source(source, form))
    assert [(each.index, each.rejected) for each in mends.samples] == [(2, True), (3, True)]
    assert mends.counts() == {"masks": 0, "emptied": 0, "rejected": 2}


def test_cvat_s_zip_and_the_export_s_folder_are_read(data, exported, tmp_path):
    out = exported("cvat", tmp_path / "out")
    file = redraw("cvat", out, {2: DRAWN})
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.write(file, "annotations.xml")
    for path in (tmp_path / "job.zip", out):
        assert [each.index for each in plan_mends(data.path, Source(path, "cvat")).samples] == [2]


def test_images_in_folders_of_cvat_keep_their_names(data, exported, tmp_path):
    file = redraw("cvat", exported("cvat", tmp_path / "out"), {2: DRAWN})
    file.write_text(file.read_text().replace('name="0', 'name="photos/of/ours/0'))
    assert [each.index for each in plan_mends(data.path, Source(file, "cvat")).samples] == [2]


def test_a_polygon_drawn_in_cvat_is_a_mask(data, exported, tmp_path):
    file = exported("cvat", tmp_path / "out") / "annotations.xml"
    image = (tree := ElementTree.parse(file)).find("image[@id='2']")
    (mask,) = image
    image.remove(mask)
    ElementTree.SubElement(image, "polygon", label=mask.get("label"), points="4,2;20,2;20,10;4.00,10")
    tree.write(file)
    (sample,) = plan_mends(data.path, Source(file, "cvat")).samples
    expected = np.zeros(SIZE, bool)
    expected[2:10, 4:20] = True
    np.testing.assert_array_equal(sample.mask, expected)


def test_tasks_without_an_annotation_or_skipped_are_left_out(data, exported, tmp_path):
    out = exported("labelstudio", tmp_path / "out")
    assert plan_mends(data.path, Source(out, "labelstudio")).samples == []
    file = redraw("labelstudio", out, {2: DRAWN, 3: DRAWN})
    tasks = json.loads(file.read_text())
    for task in tasks:
        task["annotations"][0]["was_cancelled"] = task["data"]["index"] == 2
    file.write_text(json.dumps(tasks))
    assert [each.index for each in plan_mends(data.path, Source(file, "labelstudio")).samples] == [3]


@pytest.mark.parametrize("form", [form for form in FORMS if form in ("folders", "semantic")])
def test_a_part_of_an_export_is_enough(data, exported, tmp_path, form):
    out = redraw(form, exported(form, tmp_path / "out"), {2: DRAWN})
    (file,) = [*out.glob("*/masks/000002.png"), *out.glob("masks/*/000002.png")]
    (file.parent / "Thumbs.db").write_text("")
    for other in file.parent.glob("*.png"):
        if other != file:
            other.unlink()
    assert [each.index for each in plan_mends(data.path, Source(file.parent, form)).samples] == [2]


def test_loose_masks_need_their_version(data, tmp_path):
    folder = tmp_path / "loose"
    folder.mkdir()
    Image.fromarray(DRAWN).save(folder / "000002.png")
    with pytest.raises(UserError, match="give it by --version"):
        plan_mends(data.path, Source(folder, "folders"))
    assert [each.index for each in plan_mends(data.path, Source(folder, "folders", "v1")).samples] == [2]


def cvat(old: str, new: str):
    def change(out: Path) -> Path:
        text = (out / "annotations.xml").read_text(encoding="utf-8")
        assert old in text
        (out / "annotations.xml").write_text(text.replace(old, new, 1), encoding="utf-8")
        return out

    return change


def studio(change_task):
    def change(out: Path) -> Path:
        file = redraw("labelstudio", out, {})
        tasks = json.loads(file.read_text())
        change_task(tasks[1])
        file.write_text(json.dumps(tasks))
        return file

    return change


def painted(name: str, mask: np.ndarray):
    def change(out: Path) -> Path:
        Image.fromarray(mask).save(out / "train" / "masks" / name)
        return out

    return change


def result(task: dict) -> dict:
    return task["annotations"][0]["result"][0]


REFUSED = {
    "another class": ("cvat", cvat('<mask label="a/b\\c"', '<mask label="étoile 🌟 null"'), "a class cannot change"),
    "no class of ours": ("cvat", cvat('<mask label="a/b\\c"', '<mask label="dog"'), "'dog'"),
    "another shape": ("cvat", cvat("<mask", "<box"), "found a box"),
    "another size": ("cvat", cvat('width="40"', 'width="41"'), "41 x 24"),
    "no sample": ("cvat", cvat('name="000001', 'name="000999'), "no mask of sample 999"),
    "twice": ("cvat", cvat('name="000008', 'name="000001'), "sample 1 is there twice"),
    "another name": ("cvat", cvat('name="000001', 'name="photo'), "keep the names of the export"),
    "another dataset": ("cvat", cvat("-v1-", "-v1-0000"), "another dataset"),
    "another version": ("cvat", cvat("-v1-", "-v3-"), "v3"),
    "runs too long": ("cvat", cvat('rle="', 'rle="9'), "do not fill its box"),
    "no number": ("cvat", cvat('left="', 'left="x'), "lacks a number"),
    "no XML": ("cvat", cvat("<annotations>", "<annotations"), "not valid XML"),
    "no images": ("cvat", lambda out: (out / "a.xml").write_text("<annotations/>") and out / "a.xml", "no image"),
    "a video": ("cvat", cvat("<image", "<track/><image"), "tracks of a video"),
    "no file": ("cvat", lambda out: out / "nowhere.xml", "no such file"),
    "no zip": ("cvat", lambda out: (out / "a.zip").write_text("x") and out / "a.zip", "no .zip"),
    "a stroke of another class": (
        "labelstudio",
        studio(lambda task: result(task)["value"].update(brushlabels=["dog"])),
        "'dog'",
    ),
    "rotated": ("labelstudio", studio(lambda task: result(task).update(image_rotation=90)), "rotated"),
    "another size there": ("labelstudio", studio(lambda task: result(task).update(original_width=41)), "41 x 24"),
    "cut off": ("labelstudio", studio(lambda task: result(task)["value"]["rle"].pop(9)), "draw it again"),
    "a polygon": ("labelstudio", studio(lambda task: result(task).update(type="polygonlabels")), "found polygonlabels"),
    "two people": ("labelstudio", studio(lambda task: task["annotations"].append(task["annotations"][0])), "2 annot"),
    "no index": ("labelstudio", studio(lambda task: task["data"].pop("index")), "lacks what maskmill exported"),
    "no snapshot of ours": ("labelstudio", studio(lambda task: task["data"].update(snapshot="X")), "another dataset"),
    "no JSON": ("labelstudio", lambda out: out / "config.xml", "not valid JSON"),
    "no tasks": ("labelstudio", lambda out: out / "maskmill.json", "not a list of tasks"),
    "a mask of another size": ("folders", painted("000002.png", np.ones((24, 41), bool)), "41 x 24"),
    "a mask of no sample": ("folders", painted("000999.png", DRAWN), "no mask of sample 999"),
    "a mask of a planned sample": ("folders", painted("new.png", DRAWN), "keep the names"),
    "no folder": ("folders", lambda out: out / "maskmill.json", "expected a folder"),
    "no masks": ("folders", lambda out: out / "train", "is not a folder of masks"),
    "images": ("folders", lambda out: out / "train" / "images", "is not a folder of masks"),
    "no XML in it": ("cvat", lambda out: out / "images", "has no annotations.xml in it"),
    "no format": ("coco", lambda out: out, "--format: expected cvat"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_a_line(data, exported, tmp_path, case):
    form, change, words = REFUSED[case]
    source = change(exported(form if form in FORMS else "folders", tmp_path / "out"))
    with pytest.raises(UserError, match=words) as raised:
        plan_mends(data.path, Source(source, form))
    assert "\n" not in str(raised.value)


def test_an_export_of_another_format_is_refused(data, exported, tmp_path):
    for form in ("folders", "labelstudio"):
        with pytest.raises(UserError, match="change --format|has no tasks.json"):
            plan_mends(data.path, Source(exported("cvat", tmp_path / form), form))


def test_masks_of_another_dataset_are_refused(data, exported, tmp_path):
    other = write_dataset(tmp_path / "other")
    for form in FORMS:
        source = redraw(form, exported(form, tmp_path / form), {2: DRAWN})
        with pytest.raises(UserError, match="another dataset"):
            plan_mends(other.path, Source(source, form))
    copy = shutil.copytree(data.path, tmp_path / "copy")
    assert open_dataset(copy).versions == ("v1",)
    assert len(plan_mends(copy, Source(source, form)).samples) == 1
