"""Pictures of every kind against the rules they are read by."""

from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import UserError
from storage.photos.pictures import is_picture, read_mask, read_photo, same_size

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
ORIENTATION = 0x0112
# What looking at the stored pixels upright means, by EXIF's definition of each value.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def saved(folder: Path, image: Image.Image | np.ndarray, name="x.png", **options) -> Path:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_plain_colour_comes_back(tmp_path, suffix):
    np.testing.assert_array_equal(read_photo(saved(tmp_path, RGB, f"x.{suffix}")), RGB)


def test_grey_becomes_three_equal_channels(tmp_path):
    np.testing.assert_array_equal(read_photo(saved(tmp_path, GREY)), np.repeat(GREY[..., None], 3, 2))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_give_their_high_byte(tmp_path, suffix):
    deep = (GREY.astype(np.uint16) << 8) + 201
    photo = read_photo(saved(tmp_path, deep, f"x.{suffix}"))
    np.testing.assert_array_equal(photo, np.repeat(GREY[..., None], 3, 2))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_32_bits_are_refused(tmp_path, mode):
    path = saved(tmp_path, Image.new(mode, (3, 2)), "x.tif")
    with pytest.raises(ValueError, match=r"x\.tif: expected a picture of 8 or 16 bits"):
        read_photo(path)


def test_cmyk_is_converted_plainly(tmp_path):
    inks = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    photo = read_photo(saved(tmp_path, Image.fromarray(inks, "CMYK"), "x.tif"))
    colours, black = 255.0 - inks[..., :3], 255.0 - inks[..., 3:]
    assert np.abs(photo - colours * black / 255).max() <= 1


def test_a_cmyk_jpeg_is_not_a_negative(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK"), "x.jpg", quality=95)
    assert np.abs(read_photo(path).astype(int) - (200, 40, 90)).max() < 8


def test_transparent_parts_lie_on_white(tmp_path):
    alpha = RNG.integers(0, 256, (5, 7, 1), dtype=np.uint8)
    photo = read_photo(saved(tmp_path, np.concatenate([RGB, alpha], 2)))
    share = alpha / 255
    assert np.abs(photo - (RGB * share + 255 * (1 - share))).max() <= 1


def test_palettes_give_their_colours_and_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    np.testing.assert_array_equal(read_photo(saved(tmp_path, image)), [[[10, 20, 30], [40, 50, 60]]])
    path = saved(tmp_path, image, transparency=1)
    np.testing.assert_array_equal(read_photo(path), [[[10, 20, 30], [255, 255, 255]]])


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("read", [read_photo, read_mask])
def test_exif_turns_photos_and_masks_alike(tmp_path, orientation, read):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = read(saved(tmp_path, RGB))
    np.testing.assert_array_equal(read(saved(tmp_path, RGB, "turned.png", exif=exif)), UPRIGHT[orientation](stored))


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "x.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_photo(path), np.full((3, 4, 3), (255, 0, 0)))


@pytest.mark.parametrize("shape", [(1, 1), (300, 12_000)])
def test_tiny_and_wide_photos_are_read(tmp_path, shape):
    photo = read_photo(saved(tmp_path, np.full((*shape, 3), 7, np.uint8)))
    assert photo.shape == (*shape, 3) and photo.dtype == np.uint8 and (photo == 7).all() and photo.flags.writeable


@pytest.mark.parametrize("read", [read_photo, read_mask])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_truncated_files_are_named(tmp_path, suffix, read):
    path = saved(tmp_path, RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8), f"x.{suffix}")
    whole = path.read_bytes()
    for share in (0.0, 0.05, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=rf"x\.{suffix}: expected a picture"):
            read(path)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(["png", "jpg", "webp", "gif", "bmp", "ppm", "jp2"]),
    changes=st.dictionaries(st.integers(0, 300), st.integers(0, 255), min_size=1, max_size=8),
)
def test_a_damaged_file_is_read_or_named_and_raises_nothing_else(tmp_path_factory, kind, changes):
    whole = bytearray(_encoded(kind))
    for place, value in changes.items():
        whole[place % len(whole)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(whole)
    assert is_picture(path) in (True, False) and same_size(path, path)
    for read in (read_photo, read_mask):
        with pytest.MonkeyPatch.context() as patch, suppress(UserError):
            patch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # a damaged header may ask for gigabytes
            read(path)


@cache
def _encoded(kind: str) -> bytes:
    file = BytesIO()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    noise.save(file, {"jpg": "jpeg", "jp2": "jpeg2000"}.get(kind, kind))
    return file.getvalue()


@pytest.mark.parametrize("read", [read_photo, read_mask])
def test_what_is_no_picture_is_named(tmp_path, read):
    (tmp_path / "x.jpg").write_text("a text")
    for path in (tmp_path / "x.jpg", tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(ValueError, match=f"{path}: expected a picture"):
            read(path)


def test_a_picture_beyond_pillows_limit_is_named(tmp_path, monkeypatch):
    path = saved(tmp_path, RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"x\.png: .*exceeds limit"):
        read_photo(path)


def test_masks_are_above_127_in_grey(tmp_path):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    above = levels > 127
    deep = levels.astype(np.uint16) << 8
    for mask in (levels, np.repeat(levels[..., None], 3, 2), deep, Image.fromarray(above)):
        np.testing.assert_array_equal(read_mask(saved(tmp_path, mask)), above)


def test_transparent_parts_of_a_mask_are_background(tmp_path):
    white = np.full((2, 2, 4), 255, np.uint8)
    white[0, :, 3] = 0
    np.testing.assert_array_equal(read_mask(saved(tmp_path, white)), [[False, False], [True, True]])


def test_masks_of_several_labels_are_refused_and_empty_ones_are_not(tmp_path):
    for dtype in (np.uint8, np.uint16):
        for label in (2, 7, 127):
            several = (np.arange(9, dtype=dtype) % 3 * label // 2).reshape(3, 3)
            with pytest.raises(
                ValueError, match=rf"x\.png: .*none above {label}, as in a file of labels; set the object to 255"
            ):
                read_mask(saved(tmp_path, several))
    with pytest.raises(ValueError, match=r"x\.png: .*as in a file of labels"):
        read_mask(saved(tmp_path, np.ones((3, 3), np.uint8)))
    noise = Image.fromarray(np.tile(np.array([0, 9], np.uint8), (16, 8)))
    noise.save(tmp_path / "empty.jpg")
    assert not read_mask(tmp_path / "empty.jpg").any()
    opaque = np.zeros((3, 3, 4), np.uint8)
    opaque[..., 3] = 255
    assert not read_mask(saved(tmp_path, opaque)).any()
    assert not read_mask(saved(tmp_path, np.zeros((3, 3), np.uint8))).any()
    assert not read_mask(saved(tmp_path, np.full((3, 3), 3, np.uint8))).any()


def test_one_label_is_the_object(tmp_path):
    for dtype in (np.uint8, np.uint16):
        for label in (1, 7, 127):
            assert (read_mask(saved(tmp_path, label * np.eye(3, dtype=dtype))) == np.eye(3, dtype=bool)).all()
    coloured = Image.fromarray(np.eye(3, dtype=np.uint8), "P")
    coloured.putpalette([0, 0, 0, 128, 0, 0])  # as VOC's
    assert (read_mask(saved(tmp_path, coloured)) == np.eye(3, dtype=bool)).all()
