"""What a mask's pixels mean: every common way to store a mask is read as its object, or refused; never misread."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from models.errors import UserError
from storage.photos.labels import VOC_COLOURS, VOC_GREYS, Truth
from storage.photos.pictures import read_grey_mask, read_mask, read_truth
from tests.storage.photos.encodings import ENCODINGS, drawn, labels, outline, palette, saved, voc

REFUSED = {  # and why: the others are read
    "float.tif": "32",
    "ones.jpg": "as PNG",
    "VOC colour.jpg": "dark colours",
    "red.jpg": "as PNG",
    "palette of streets": "none above",
    "alpha 128 to 255": "opacities from 128 to 255",
    "cut-out, black and white": "another in each",
    "opaque, a corner transparent": "another in each",
    "photo, all transparent": "transparent everywhere",
}
SOMETIMES = {"labels 1 and 2", "labels 1 and 9, void stripe", "blue and yellow"}  # where the object has both


def read_or_refused(path: Path) -> Truth | str:
    try:
        return read_truth(path)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_read_as_its_object_or_refused(tmp_path, name):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        mask = drawn(rng)
        path, void = saved(name, mask, rng, tmp_path)
        truth = read_or_refused(path)
        if isinstance(truth, str):
            assert truth.startswith(str(path)) and "; " in truth, "the file, and what to do"
            assert name in SOMETIMES or REFUSED[name] in truth
            continue
        assert name not in REFUSED
        judged = np.ones_like(mask) if truth.void is None else ~truth.void
        wrong = ((truth.grey > 127) != mask) & judged
        assert wrong.mean() < (0.01 if path.suffix in (".jpg", ".webp") else 1e-9)
        if void is not None:
            np.testing.assert_array_equal(truth.void, void)


def old_rule(path: Path) -> np.ndarray | None:
    """Grey as it was read before labels, void and transparency had a meaning; None where it was refused."""
    with Image.open(path) as image:
        image.load()
    values = np.asarray(image)
    shown = Image.fromarray((values >> 8).astype(np.uint8)) if image.mode.startswith("I") else image
    grey = np.asarray(shown.convert("RGB").convert("L"))
    values = values if image.mode == "L" or image.mode.startswith("I") else grey
    empty = path.suffix == ".jpg" or (values.min() == values.max() != 1)
    return grey if empty or (grey > 127).any() else None


def shrunk(mask: np.ndarray, kind: Image.Resampling) -> np.ndarray:
    height, width = mask.shape
    return np.asarray(Image.fromarray(mask * np.uint8(255)).resize((width // 3, height // 3), kind))


SOFT = {
    "blurred": lambda m, r: ndimage.gaussian_filter(m * 255.0, r.uniform(0.3, 5)).astype(np.uint8),
    "averaged": lambda m, r: shrunk(m, Image.Resampling.BOX),
    "resampled": lambda m, r: shrunk(m, Image.Resampling.LANCZOS),
    "levels of agreement": lambda m, r: np.rint(
        np.maximum.reduce([drawn(r) * int(r.integers(1, 13)) * 255 / 12 for _ in range(3)])
    ).astype(np.uint8),
    "in few levels": lambda m, r: (np.rint(ndimage.gaussian_filter(m * 1.0, 3) * 4) / 4 * 255).astype(np.uint8),
    "trimap": lambda m, r: np.where(outline(m), 128, m * 255).astype(np.uint8),
    "ground not black": lambda m, r: np.where(m, 255, int(r.integers(1, 60))).astype(np.uint8),
    "television's range": lambda m, r: np.where(m, 235, 16).astype(np.uint8),
    "with specks": lambda m, r: np.where(r.random(m.shape) < 0.02, int(r.integers(1, 100)), m * 255).astype(np.uint8),
    "object not white": lambda m, r: (m * r.integers(128, 256)).astype(np.uint8),
    "noise": lambda m, r: r.integers(0, 256, m.shape).astype(np.uint8),
}


@settings(max_examples=200)
@given(
    kind=st.sampled_from(sorted(SOFT)), form=st.sampled_from(["grey", "rgb", "deep", "jpg"]), seed=st.integers(0, 999)
)
def test_soft_masks_are_read_as_before(tmp_path_factory, kind, form, seed):
    rng = np.random.default_rng(seed)
    soft = np.ascontiguousarray(SOFT[kind](drawn(rng), rng))
    path = tmp_path_factory.getbasetemp() / ("soft.jpg" if form == "jpg" else "soft.png")
    picture = {"rgb": np.repeat(soft[..., None], 3, axis=2), "deep": soft.astype(np.uint16) * 257}.get(form, soft)
    Image.fromarray(picture).save(path)
    before = old_rule(path)
    if before is None or not (before > 127).any():
        return  # what was refused may be read now, and what was empty refused
    np.testing.assert_array_equal(read_grey_mask(path), before)
    assert read_truth(path).void is None


def written(folder: Path, image: np.ndarray | Image.Image, name: str = "x.png", **options) -> Path:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_file_that_is_empty_but_for_what_cannot_be_read_is_refused(tmp_path, channels):
    deep = np.zeros((8, 8, channels), np.uint16)
    deep[2:5, 2:5] = 255
    path = str(tmp_path / "x.png")
    cv2.imwrite(path, deep)
    if channels == 1:
        assert read_mask(Path(path)).sum() == 9
    else:
        with pytest.raises(UserError, match="16 bits per colour"):
            read_mask(Path(path))


def test_void_alone_is_no_object(tmp_path):
    mask = drawn(np.random.default_rng(1))
    for image in (voc(mask, 255), voc(mask, 255).convert("RGB")):
        with pytest.raises(UserError, match="ground and void"):
            read_mask(written(tmp_path, image))
    assert read_mask(written(tmp_path, palette(labels(mask, 255), VOC_COLOURS * 0 + 7))).sum() == mask.sum()


def test_a_transparent_colour_that_contradicts_the_colours_is_refused(tmp_path):
    mask = drawn(np.random.default_rng(2))
    np.testing.assert_array_equal(read_mask(written(tmp_path, mask * np.uint8(255), transparency=0)), mask)
    with pytest.raises(UserError, match="another in each"):
        read_mask(written(tmp_path, mask * np.uint8(255), transparency=255))


def test_empty_masks_stay_empty_and_full_ones_full(tmp_path):
    nothing = np.zeros((9, 9), np.uint8)
    for empty in (nothing, nothing + 3, np.dstack([nothing] * 4), nothing.astype(np.uint16), nothing > 0):
        assert not read_mask(written(tmp_path, empty)).any()
    for full in (nothing + 255, nothing.astype(np.uint16) + 255, nothing == 0):
        assert read_mask(written(tmp_path, full)).all()
    for neither in (nothing + 1, nothing + 64, np.dstack([nothing + 90] * 3)):
        with pytest.raises(UserError, match="none above"):
            read_mask(written(tmp_path, neither))


def test_the_palette_of_voc_is_the_published_one():
    published = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        7: (128, 128, 128),
        12: (64, 0, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    for label, colour in published.items():
        assert tuple(VOC_COLOURS[label]) == colour
    assert VOC_GREYS[-1] == Image.new("RGB", (1, 1), (224, 224, 192)).convert("L").getpixel((0, 0))
