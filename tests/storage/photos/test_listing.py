"""A folder's pictures are what they are, not what they are called; what is left out has its reason."""

from pathlib import Path

import pytest
from PIL import Image

from storage.photos.folders import open_folder
from storage.photos.listing import FORMATS, pictures_in
from storage.photos.notes import Notes
from storage.results.outputs import find_photos

IMAGE = Image.new("RGB", (24, 16), (200, 90, 40))
CALLED = {
    **{f"x{suffix}": "JPEG" for suffix in (".jfif", ".jpe", ".JPG", ".png", "", ".0001", ".dat", ".jpg_original")},
    **{f"x{suffix}": "JPEG2000" for suffix in (".j2k", ".jp2", ".JPX")},
    **{f"x{suffix}": "TIFF" for suffix in (".tif", ".TIFF")},
    **{f"x{suffix}": "PPM" for suffix in (".pnm", ".PGM", ".pbm")},
    "x.avif": "AVIF",
    "x.webp": "WEBP",
    "x.gif": "GIF",
    "x.dib": "DIB",
    "x.TGA": "TGA",
    "x.pcx": "PCX",
    "x.qoi": "QOI",
    "x.sgi": "SGI",
    "x.mpo": "MPO",
}
SYSTEM = ("Thumbs.db", "desktop.ini", "._a.jpg", ".DS_Store", "Icon\r", "a.jpg:Zone.Identifier")


def left_out(given: list[Path]) -> Notes:
    find_photos(given, notes := Notes())
    return notes


def left(notes) -> dict[str, list[str]]:
    return {reason: [file.name for file in files] for reason, files in notes.reasons.items()}


@pytest.mark.parametrize("name", CALLED)
def test_a_picture_is_found_whatever_it_is_called(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        IMAGE.save(file, format=CALLED[name])
    assert find_photos([tmp_path]) == [tmp_path / name] and not left_out([tmp_path])


@pytest.mark.parametrize("form", FORMATS)
def test_pillow_reads_every_format_that_is_looked_for(tmp_path, form):
    with (tmp_path / "x").open("wb") as file:
        IMAGE.save(file, format=form)
    assert pictures_in(tmp_path)[:2] == ([], [tmp_path / "x"])


def test_what_is_left_out_has_its_reason_and_what_the_system_left_there_has_none(tmp_path):
    IMAGE.save(tmp_path / "a.jpg")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "new.jxl").write_bytes(b"\xff\x0a" + bytes(40))
    IMAGE.save(tmp_path / "camera.nef", format="TIFF")
    IMAGE.save(tmp_path / "layers.psd", format="ICO")
    (tmp_path / "README.txt").write_text("of the photos")
    (tmp_path / "torn.avif").write_bytes(b"")
    for name in SYSTEM:
        (tmp_path / name).write_bytes(b"x")
    assert find_photos([tmp_path]) == [tmp_path / "a.jpg"]
    assert left(left_out([tmp_path])) == {
        "left out, HEIC, which is not read (convert it to JPEG or PNG)": ["phone.heic"],
        "left out, JPEG XL, which is not read (convert it to JPEG or PNG)": ["new.jxl"],
        "left out, a camera's raw file (develop it to JPEG or TIFF)": ["camera.nef"],
        "left out, a format that is not looked for in folders (convert it to JPEG or PNG)": ["layers.psd"],
        "left out, not a picture": ["README.txt"],
        "left out, not a picture that can be read": ["torn.avif"],
    }


def test_a_folder_of_pictures_that_are_not_read_is_refused_with_the_reason(tmp_path):
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypmif1" + bytes(40))
    with pytest.raises(ValueError, match=r"found no picture \(\.jpg, .*1 left out, HEIC, .*phone\.heic\)"):
        find_photos([tmp_path])


def test_a_heic_file_that_is_called_jpg_is_named_as_what_it_is(tmp_path):
    from storage.photos.pictures import read_photo

    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    assert find_photos([tmp_path]) == [tmp_path / "phone.jpg"]
    with pytest.raises(ValueError, match=r"phone\.jpg: expected a picture, .*HEIC"):
        read_photo(tmp_path / "phone.jpg")


def test_a_picture_found_by_content_gives_way_to_one_of_its_name(tmp_path):
    """Folders that older versions read, of which such files were no part, stay as they are."""
    (tmp_path / "other").mkdir()
    for name in ("a.jpg", "a.avif", "other/a.jfif", "other/b.jfif"):
        with (tmp_path / name).open("wb") as file:
            IMAGE.save(file, format="AVIF" if name.endswith("avif") else "JPEG")
    assert find_photos([tmp_path, tmp_path / "other"]) == [tmp_path / "a.jpg", tmp_path / "other/b.jfif"]
    assert left(left_out([tmp_path, tmp_path / "other"])) == {
        "left out, another picture has its name": ["a.avif", "a.jfif"]
    }


def pair_of(folder: Path, photo: str, mask: str, form: str) -> None:
    for part, name, image in (("images", photo, IMAGE), ("masks", mask, IMAGE.convert("L").point(lambda v: 255))):
        (folder / part).mkdir(parents=True, exist_ok=True)
        with (folder / part / name).open("wb") as file:
            image.save(file, format=form)


def test_pairs_are_found_by_content_too(tmp_path):
    forms = {"JPEG": "jfif", "AVIF": "avif", "PPM": "pnm", "GIF": "gif", "WEBP": "WEBP", "JPEG2000": "j2k"}
    for form, suffix in forms.items():
        pair_of(tmp_path, f"{form}.{suffix}", f"{form}.{suffix}", form)
    pair_of(tmp_path, "none", "none.png", "PNG")
    pair_of(tmp_path, "frame.0001", "frame.0001.png", "PNG")
    pair_of(tmp_path, "wrong.jpg", "wrong.png", "BMP")
    for name in (*SYSTEM, "__MACOSX/a.jpg", "@eaDir/b.jpg"):
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    pairs = open_folder("folder", tmp_path)
    assert pairs.names == tuple(sorted([*forms, "none", "frame.0001", "wrong"])) and not pairs.notes
    pairs.check_headers()
    assert all(pairs.pair(i)[1].all() for i in range(len(pairs)))


def test_what_has_no_partner_and_was_no_part_of_a_folder_before_is_noted_instead_of_refused(tmp_path):
    pair_of(tmp_path, "a.jpg", "a.png", "PNG")
    before = open_folder("folder", tmp_path).digest()
    IMAGE.save(tmp_path / "images/cover.avif")
    IMAGE.save(tmp_path / "masks/preview.webp")
    pairs = open_folder("folder", tmp_path)
    assert pairs.digest() == before
    assert left(pairs.notes) == {
        "dropped, a photo without a mask": ["cover.avif"],
        "dropped, a mask without a photo": ["preview.webp"],
    }


def test_a_folder_whose_pictures_have_no_partners_is_refused_with_what_was_found(tmp_path):
    pair_of(tmp_path, "a.avif", "b.webp", "AVIF")
    with pytest.raises(
        ValueError, match=r"expected a mask for each photo, found none \(1 dropped, .*a\.avif; 1 .*b\.webp"
    ):
        open_folder("folder", tmp_path)
