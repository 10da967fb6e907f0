"""Folders of what is made of photographs: which files are photos, what is done, and what is refused."""

import csv

import numpy as np
import pytest
from PIL import Image

from storage.results.masks import MaskFolder, MaskRow
from storage.results.outputs import digest, find_photos
from storage.results.predictions import PredictionFolder, PredictionRow

GREY = np.zeros((2, 3), np.uint8)
IDENTITY = {"weights": 1}


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "été, n° 1.png"
    Image.fromarray(GREY).save(path)
    return path


@pytest.fixture
def done(photo, tmp_path):
    """A folder with the predictions of that photo."""
    folder = PredictionFolder(tmp_path / "out")
    folder.path.mkdir()
    folder.write_prediction(photo.stem, np.full((2, 3), 0.25, np.float32))
    folder.add([PredictionRow(photo.stem, str(photo), "", digest(photo, IDENTITY), 1, 2, 3, 4, 0.5)])
    return folder


def test_photos_are_the_pictures_directly_in_a_folder(photo):
    inside = photo.parent
    for name in ("._été.png", ".hidden.jpg", "notes.txt", "below/other.png", "folder.png/x.png"):
        (inside / name).parent.mkdir(exist_ok=True)
        (inside / name).write_bytes(photo.read_bytes())
    assert find_photos([inside, photo]) == [photo]
    (inside / "empty").mkdir()
    with pytest.raises(ValueError, match=r"found no picture \(\.jpg, .*directly in .*empty; "):
        find_photos([inside / "empty"])


@pytest.mark.parametrize("rows", [
    (MaskFolder, MaskRow("a,\"b\"\n", "f", category="star", confidence=0.25, area=None)),
    (PredictionFolder, PredictionRow("ü", "f", error="torn", x0=3, area=0.125)),
])  # fmt: skip
def test_a_table_comes_back(tmp_path, rows):
    kind, row = rows
    kind(tmp_path).add([row])
    assert kind(tmp_path).read() == {row.name: row}


def test_a_photo_is_done_while_its_bytes_its_maker_and_its_pictures_stay(done, photo):
    assert done.pending([photo], IDENTITY) == []
    assert done.pending([photo], {"weights": 2}) == [photo]
    missing = photo.with_name("missing.png")
    assert done.pending([missing], IDENTITY) == [missing]
    done.picture(photo.stem, "soft").unlink()
    assert done.pending([photo], IDENTITY) == [photo]
    done.write_prediction(photo.stem, np.zeros((2, 3), np.float32))
    photo.write_bytes(photo.read_bytes() + b" ")
    assert done.pending([photo], IDENTITY) == [photo]
    photo.unlink()
    assert done.pending([photo], IDENTITY) == [photo]


def test_a_table_with_its_columns_in_another_order_is_read(done, photo):
    before, file = done.read(), done.path / done.table
    lines = list(csv.DictReader(file.open(encoding="utf-8", newline="")))
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(reversed(lines[0])))
        writer.writeheader()
        writer.writerows(lines)
    assert done.read() == before and done.pending([photo], IDENTITY) == []


def test_a_folder_that_cannot_be_written_to_is_refused(done, photo, tmp_path):
    (tmp_path / "file").write_text("x")
    for path, words in ((tmp_path / "file", "found a file"), (tmp_path / "file" / "below", "not a folder that can be")):
        with pytest.raises(ValueError, match=words):
            PredictionFolder(path).check([photo])
    with pytest.raises(ValueError, match="is a folder of the photos"):
        PredictionFolder(photo.parent).check([photo])
    table = done.path / done.table
    table.write_text(table.read_text(encoding="utf-8").replace(",1,2,3,4,", ",1,two,3,4,"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"predictions\.csv: expected a table with the columns name, .*two.*move it"):
        done.check([photo])


NAMES = {
    "not UTF-8": b"caf\xe9",
    "the longest": b"n" * 251,
    "the longest of characters of several bytes": "é".encode() * 125,
    "a newline, commas and quotes": b"a\nb,\"c\",'d'\r",
    "an option's and a formula's beginning": b"-=1+1",
    "blanks": b" a b ",
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("folder", [MaskFolder, PredictionFolder])
def test_a_photo_of_any_name_is_written_read_and_done(tmp_path, folder, kind):
    photo = tmp_path / f"photos/{NAMES[kind].decode('utf-8', 'surrogateescape')}.png"
    photo.parent.mkdir()
    with photo.open("wb") as file:
        Image.fromarray(GREY).save(file, format="PNG")
    out, row = folder(tmp_path / "out"), MaskRow if folder is MaskFolder else PredictionRow
    out.path.mkdir()
    name = out.name_of(photo)
    assert find_photos([photo.parent]) == [photo] and out.pending([photo], IDENTITY) == [photo]
    out.write_pictures(name, *[GREY] * len(out.kinds))
    out.add([row(name, str(photo), f"{photo}: torn")])
    out.add([row(name, str(photo), "", digest(photo, IDENTITY))])
    assert out.pending([photo], IDENTITY) == [] and list(out.read()) == [name]
    (out.path / out.table).read_text(encoding="utf-8")


def test_long_names_that_differ_at_their_ends_have_pictures_of_their_own(tmp_path):
    names = {MaskFolder(tmp_path).name_of(tmp_path / f"{'n' * 245}{i}.jpg") for i in range(9)}
    assert len(names) == 9 and all(name.startswith("n" * 200) for name in names)


def test_names_that_older_versions_could_write_stay(tmp_path):
    for folder, longest in ((MaskFolder, "objectness"), (PredictionFolder, "mask")):
        name = "n" * (255 - len(f"-{longest}.png.partial"))
        assert folder(tmp_path).name_of(tmp_path / f"{name}.jpg") == name
        assert folder(tmp_path).name_of(tmp_path / f"{name}n.jpg") != f"{name}n"
