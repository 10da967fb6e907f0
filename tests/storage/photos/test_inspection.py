"""Pictures that cannot be read come to light before the work that they would end."""

import numpy as np
import pytest
from PIL import Image

from storage.photos import inspection
from storage.photos.folders import open_folder
from storage.photos.inspection import check_readable, usual_check


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(0)
    for part, suffix in (("images", "jpg"), ("masks", "png")):
        (tmp_path / part).mkdir()
        for i in range(8):
            noise = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
            picture = noise if part == "images" else (noise[..., 0] > 127).astype(np.uint8) * 255
            Image.fromarray(picture).save(tmp_path / part / f"{i}.{suffix}")
    return tmp_path


def cut(path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def test_whole_pictures_pass_and_each_pair_is_counted(pairs):
    seen = []
    check_readable(open_folder("folder", pairs), lambda: seen.append(1))
    assert len(seen) == 8


@pytest.mark.parametrize("part, name", [("images", "3.jpg"), ("masks", "3.png")])
def test_a_picture_cut_off_behind_its_header_is_named(pairs, part, name):
    cut(pairs / part / name, 0.8)
    folder = open_folder("folder", pairs)
    folder.check_headers()
    with pytest.raises(
        ValueError, match=rf"^1 of 8 pairs cannot be read: .*{part}/{name}: expected a picture.*; replace"
    ):
        check_readable(folder)


def test_many_are_counted_and_the_first_named(pairs):
    for i in range(5):
        cut(pairs / f"images/{i}.jpg", 0.8)
    with pytest.raises(ValueError, match=r"^5 of 8 pairs .*0\.jpg.*1\.jpg.*2\.jpg.*; and 2 more; ") as error:
        check_readable(open_folder("folder", pairs))
    assert "3.jpg" not in str(error.value) and "\n" not in str(error.value)


def test_a_small_folder_is_decoded_and_a_large_one_is_not(pairs, monkeypatch):
    folder = open_folder("folder", pairs)
    assert usual_check(folder) == "full"
    monkeypatch.setattr(inspection, "FULL_BELOW", 16)
    assert usual_check(folder) == "headers"
    monkeypatch.setattr(inspection, "FULL_BELOW", 17)
    assert usual_check(folder) == "full"
