"""The named sets as their archives have been reported to unpack: they open, and what was done to them is noted."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage.photos.folders import open_folder
from storage.photos.layouts import LAYOUTS

RNG = np.random.default_rng(0)
NAMED = [name for name in LAYOUTS if name not in ("folder", "CUB-200")]  # CUB-200 is of the photos in its list


def picture(path: Path, size=(64, 48), mask=False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    if mask:
        image = Image.new("L", size)
        image.paste(255, (8, 8, 30, 30))
    image.save(path)


def made(root: Path, names=("a", "b"), photos="DUTS-TR-Image", masks="DUTS-TR-Mask", suffix=".jpg") -> Path:
    for name in names:
        picture(root / photos / f"{name}{suffix}")
        picture(root / masks / f"{name}.png", mask=True)
    return root


def noted(pairs) -> dict[str, list[str]]:
    return {reason: [file.name for file in files] for reason, files in pairs.notes.reasons.items()}


def test_a_mask_of_another_size_is_resized_and_one_of_another_shape_dropped(tmp_path):
    made(tmp_path, ["a", "b", "c", "d"])
    picture(tmp_path / "DUTS-TR-Mask/b.png", (60, 48), mask=True)
    picture(tmp_path / "DUTS-TR-Mask/c.png", (128, 96), mask=True)
    picture(tmp_path / "DUTS-TR-Mask/d.png", (48, 64), mask=True)
    pairs = open_folder("DUTS-TR", tmp_path)
    pairs.check_headers()
    assert pairs.names == ("a", "b", "c")
    assert noted(pairs) == {
        "resized, a mask of another size than its photo": ["b.png", "c.png"],
        "dropped, a mask of another shape than its photo": ["d.png"],
    }
    photo, mask = pairs.pair(2)
    np.testing.assert_array_equal(mask, np.asarray(Image.open(tmp_path / "DUTS-TR-Mask/c.png"))[1::2, 1::2] > 127)
    assert mask.shape == photo.shape[:2] == (48, 64) and pairs.pair(1)[1].shape == (48, 64)
    with pytest.raises(ValueError, match=r"expected masks of their photos' sizes"):
        open_folder("folder", plain(tmp_path)).check_headers()


def plain(root: Path) -> Path:
    """The same files as someone's own."""
    (root / "DUTS-TR-Image").rename(root / "images")
    (root / "DUTS-TR-Mask").rename(root / "masks")
    return root


def test_a_photo_stored_on_its_side_is_compared_as_it_is_seen(tmp_path):
    made(tmp_path, ["a", "b"])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "DUTS-TR-Image/b.jpg", exif=exif)
    assert open_folder("DUTS-TR", tmp_path).names == ("a",)
    picture(tmp_path / "DUTS-TR-Mask/b.png", (48, 64), mask=True)
    pairs = open_folder("DUTS-TR", tmp_path)
    assert pairs.names == ("a", "b") and not pairs.notes and pairs.pair(1)[1].shape == (64, 48)


def test_of_a_mask_there_twice_the_png_is_taken_and_of_a_photo_the_usual_kind(tmp_path):
    made(tmp_path, ["a", "b", "c"])
    picture(tmp_path / "DUTS-TR-Mask/b.jpg", mask=True)
    picture(tmp_path / "DUTS-TR-Mask/c.bmp", mask=True)
    picture(tmp_path / "DUTS-TR-Image/a.png")
    pairs = open_folder("DUTS-TR", tmp_path)
    assert noted(pairs) == {"left out, another file of its name is taken": ["a.png", "b.jpg", "c.bmp"]}
    assert {file.suffix for file in pairs.photos} == {".jpg"} and {file.suffix for file in pairs.truths} == {".png"}
    with pytest.raises(ValueError, match="expected one file per name"):
        open_folder("folder", plain(tmp_path))


def test_files_without_a_partner_are_dropped_but_a_set_without_pairs_is_refused(tmp_path):
    made(tmp_path, ["a", "b"])
    picture(tmp_path / "DUTS-TR-Mask/c.png", mask=True)
    picture(tmp_path / "DUTS-TR-Image/d.jpg")
    pairs = open_folder("DUTS-TR", tmp_path)
    assert pairs.names == ("a", "b")
    assert noted(pairs) == {
        "dropped, a photo without a mask": ["d.jpg"],
        "dropped, a mask without a photo": ["c.png"],
    }
    for name in "ab":
        (tmp_path / f"DUTS-TR-Mask/{name}.png").unlink()
    with pytest.raises(ValueError, match=r"no mask for .*a\.jpg"):
        open_folder("DUTS-TR", tmp_path)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_set_takes_what_its_archive_has_too_much_or_too_little(tmp_path, name):
    photos, masks = LAYOUTS[name].folders[0]
    made(tmp_path, ["a", "b", "c"], photos, masks)
    picture(tmp_path / masks / "lone.png", mask=True)
    picture(tmp_path / masks / "b.png", (62, 48), mask=True)
    for clutter in (f"{photos}/Thumbs.db", f"{masks}/.DS_Store", f"__MACOSX/{photos}/._a.jpg", f"{photos}/._b.jpg"):
        (tmp_path / clutter).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / clutter).write_bytes(b"x")
    pairs = open_folder(name, tmp_path)
    pairs.check_headers()
    assert pairs.names == ("a", "b", "c") and [len(files) for files in pairs.notes.reasons.values()] == [1, 1]
    assert all(mask.shape == photo.shape[:2] for photo, mask in map(pairs.pair, range(3)))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("around", ["{}", "{}/{}", "downloads/{}"])
def test_a_set_is_found_where_archives_put_folders_around_it(tmp_path, name, around):
    photos, masks = LAYOUTS[name].folders[0]
    made(tmp_path / around.format(name, name), ["a"], photos, masks)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / f"{name}.zip").write_bytes(b"x")
    assert open_folder(name, tmp_path).names == ("a",)


@pytest.mark.parametrize(
    "name, photos, masks",
    [
        ("DUT-OMRON", "DUT-OMRON-image/DUT-OMRON-image", "pixelwiseGT-new-PNG"),
        ("DUT-OMRON", "DUT-OMRON-image/Images", "DUT-OMRON-gt-pixelwise/pixelwiseGT-new-PNG"),
        ("ECSSD", "images/images", "ground_truth_mask/ground_truth_mask"),
        ("DUTS-TE", "DUTS-TE-Image/DUTS-TE-Image", "DUTS-TE-Mask"),
    ],
)
def test_a_folder_unpacked_into_one_of_its_own_is_looked_into(tmp_path, name, photos, masks):
    made(tmp_path, ["a", "b"], photos, masks)
    assert open_folder(name, tmp_path).names == ("a", "b")


def test_subfolders_that_pair_stay_a_part_of_the_names(tmp_path):
    made(tmp_path, ["deep/a"], "images", "ground_truth_mask")
    assert open_folder("ECSSD", tmp_path).names == ("deep/a",)


def test_copies_of_hku_is_and_pascal_s(tmp_path):
    made(tmp_path / "h", ["0004"], "imgs", "gt", ".png")
    made(tmp_path / "h", ["0005"], "imgs", "gt", ".jpg")
    assert open_folder("HKU-IS", tmp_path / "h").names == ("0004", "0005")
    made(tmp_path / "p", ["1", "2"], "Imgs", "Imgs", ".JPG")
    (tmp_path / "p/Imgs/Thumbs.db").write_bytes(b"x")
    picture(tmp_path / "p/Imgs/3.png", mask=True)
    picture(tmp_path / "p/Imgs/4.bmp")
    pairs = open_folder("PASCAL-S", tmp_path / "p")
    assert pairs.names == ("1", "2") and noted(pairs) == {
        "left out, its suffix is not one of this layout's": ["4.bmp"],
        "dropped, a mask without a photo": ["3.png"],
    }


@pytest.mark.parametrize("home", ["", "CUB_200_2011"])
@pytest.mark.parametrize("encoding, newline", [("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", " \r\n\r\n")])
def test_cub_with_its_lists_as_editors_save_them(tmp_path, home, encoding, newline):
    names = ["001.Café/a_1", "001.Café/a_2"]
    for name in names:
        picture(tmp_path / home / "images" / f"{unicodedata.normalize('NFD', name)}.jpg")
        picture(tmp_path / "segmentations" / f"{name}.png", mask=True)
    lists = {
        "images.txt": [f"{i} {name}.jpg" for i, name in enumerate(names)],
        "train_val_test_split.txt": ["0 0", "1 2"],
    }
    for file, lines in lists.items():
        (tmp_path / home / file).write_bytes("".join(line + newline for line in lines).encode(encoding))
    pairs = open_folder("CUB-200", tmp_path)
    assert [unicodedata.normalize("NFC", name) for name in pairs.names] == [names[1]]


def test_a_whole_set_has_no_notes_and_the_digest_of_older_versions(tmp_path):
    pairs = open_folder("DUTS-TR", made(tmp_path, ["b", "a", "sub/c"]))
    assert not pairs.notes and pairs.notes.line() == "" and pairs.digest() == "8b9e6193"


def test_the_notes_are_counted_in_a_line_and_listed_in_a_file(tmp_path):
    made(tmp_path, ["a"])
    for i in range(9):
        picture(tmp_path / f"DUTS-TR-Mask/lone{i}.png", mask=True)
    (tmp_path / "DUTS-TR-Image/README.txt").write_text("x")
    notes, file = open_folder("DUTS-TR", tmp_path).notes, tmp_path / "out/files.txt"
    assert "9 dropped, a mask without a photo: DUTS-TR-Mask/lone0.png, " in notes.line()
    assert "lone4.png and 4 more" in notes.line() and "1 left out, not a picture: " in notes.line()
    notes.write(file)
    lines = file.read_text().splitlines()
    assert len(lines) == 10 and all(any(f"lone{i}.png" in line for line in lines) for i in range(9))
    open_folder("DUTS-TR", made(tmp_path / "whole")).notes.write(file)
    assert not file.exists()


def test_composed_and_decomposed_names_and_names_that_are_not_utf8_pair(tmp_path):
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    for photo, mask in ((composed, decomposed), (f"sub/{decomposed}1", f"sub/{composed}1"), (latin, latin)):
        picture(tmp_path / f"images/{photo}.jpg")
        picture(tmp_path / f"masks/{mask}.png", mask=True)
    pairs = open_folder("folder", tmp_path)
    assert pairs.names == tuple(sorted([composed, f"sub/{decomposed}1", latin])) and "caf%E9" in pairs.labels
    assert all(pairs.pair(i)[1].any() for i in range(3)) and len(pairs.digest()) == 8
