"""Masks of photographs through the command line, with pocket as it ships: quality, odd photos, reruns, failures."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskmill.cli import app
from models.pocket.scenes import Scene, render

FEW = ("--set", "sampling.steps=4", "--set", "run.device=cpu")
SCENES = {"s0.png": 0, "s1.jpg": 1, "large.png": 2}  # file -> scene of seed 5


def run(*arguments: object):
    return CliRunner().invoke(app, ["mask", *map(str, arguments)])


def table(out) -> dict[str, dict[str, str]]:
    with (out / "masks.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def picture(out, name: str, kind: str = "mask") -> np.ndarray:
    return np.asarray(Image.open(out / f"{name}-{kind}.png"))


def easy(count: int) -> list[Scene]:
    """Scenes with nothing but the object in them."""
    found = (render(5, i) for i in range(100))
    return [scene for scene in found if scene.difficulty == "easy"][:count]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three rendered scenes in a folder, the last of them three times as large, and what is no photo."""
    folder, scenes = tmp_path_factory.mktemp("photos"), easy(3)
    for (name, _), scene in zip(SCENES.items(), scenes, strict=True):
        image = Image.fromarray(scene.image)
        image = image.resize((384, 384), Image.Resampling.BICUBIC) if name == "large.png" else image
        image.save(folder / name, quality=95)
    (folder / "notes.txt").write_text("not of the photos")
    return folder, scenes


@pytest.fixture(scope="module")
def masked(photos, tmp_path_factory):
    """Their masks at 20 steps; not to be changed."""
    out = tmp_path_factory.mktemp("masks") / "out"
    result = run(photos[0], "--out", out, "--set", "sampling.steps=20", "--set", "run.device=cpu")
    assert result.exit_code == 0, result.output
    return out


def test_masks_of_rendered_scenes_are_near_the_truth(photos, masked):
    ious = []
    for name, scene in zip(("s0", "s1", "large"), photos[1], strict=True):
        factor = 3 if name == "large" else 1
        truth, mask = scene.mask.repeat(factor, 0).repeat(factor, 1), picture(masked, name)
        assert mask.shape == truth.shape and set(np.unique(mask)) <= {0, 255}
        assert picture(masked, name, "objectness").shape == truth.shape
        assert picture(masked, name, "overlay").shape == (*truth.shape, 3)
        ious.append(((mask > 0) & truth).sum() / ((mask > 0) | truth).sum())
    assert np.mean(ious) > 0.75, ious


def test_the_table_says_what_was_made(photos, masked):
    rows = table(masked)
    assert rows.keys() == {"s0", "s1", "large"}
    for name, scene in zip(("s0", "s1", "large"), photos[1], strict=True):
        row = rows[name]
        assert row["category"] == scene.category and 0 < float(row["confidence"]) <= 1
        assert float(row["area"]) == pytest.approx((picture(masked, name) > 0).mean())
        assert 0 <= float(row["uncertainty"]) <= 1 and float(row["reconstruction_db"]) > 15 and row["error"] == ""


def test_a_second_run_does_what_is_missing_or_was_made_otherwise(photos, masked, tmp_path):
    folder, out = shutil.copytree(photos[0], tmp_path / "photos"), shutil.copytree(masked, tmp_path / "out")
    same = ("--out", out, "--set", "sampling.steps=20", "--set", "run.device=cpu")
    before = table(out)
    assert "Nothing is left to do" in run(folder, *same).output
    (out / "s0-mask.png").unlink()
    Image.fromarray(255 - np.asarray(Image.open(folder / "s1.jpg"))).save(folder / "s1.jpg")
    assert "masked 2, masked before 1, failed 0" in run(folder, *same).output
    after = table(out)
    assert after["large"] == before["large"] and after["s0"]["made_from"] == before["s0"]["made_from"]
    assert after["s1"]["made_from"] != before["s1"]["made_from"]
    assert (picture(out, "s0") == picture(masked, "s0")).mean() > 0.99  # in another batch, so not to the last bit
    assert "masked 1, masked before 0" in run(folder / "s0.png", "--out", out, *FEW).output  # another config


def test_odd_photos(tmp_path):
    """Each has a mask of its own size, upright; what leaves the colours alone leaves the mask alone."""
    scene = easy(1)[0]
    image, folder, out = Image.fromarray(scene.image), tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    image.save(folder / "plain.png")
    Image.fromarray(scene.image[:1, :1]).save(folder / "pixel.png")
    image.convert("L").save(folder / "grey.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    opaque = image.copy()
    opaque.putalpha(255)
    opaque.save(folder / "alpha.png")
    wide = image.resize((160, 128))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    wide.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(np.tile(scene.image, (1, 24, 1))).save(folder / "panorama.png")  # 3072 wide
    result = run(folder, "--out", out, "--class", scene.category, "--set", "cut.bilateral=true", *FEW)
    assert result.exit_code == 0, result.output
    sizes = {"pixel": (1, 1), "turned": (160, 128), "panorama": (128, 3072)}
    for name, row in table(out).items():
        assert picture(out, name).shape == picture(out, name, "objectness").shape == sizes.get(name, (128, 128))
        assert row["category"] == scene.category and row["confidence"] == ""
    assert picture(out, "panorama", "overlay").shape == (85, 2048, 3)
    assert (picture(out, "alpha") == picture(out, "plain")).mean() > 0.99


def test_a_photo_that_fails_is_named_and_the_others_go_on(photos, tmp_path):
    cut_off = tmp_path / "cut_off.png"
    cut_off.write_bytes((photos[0] / "s0.png").read_bytes()[:2000])
    out = tmp_path / "out"
    for rest in ((1, 0), (0, 1)):  # a second time only what failed is tried again
        result = run(cut_off, tmp_path / "nowhere.png", photos[0] / "s0.png", "--no-prior", "--out", out, *FEW)
        assert result.exit_code == 1
        assert "masked {}, masked before {}, failed 2".format(*rest) in result.output
        assert "cut_off.png" in result.stderr and "nowhere.png" in result.stderr
    rows = table(out)
    assert rows["cut_off"]["error"] and rows["nowhere"]["error"] and not rows["s0"]["error"]
    assert rows["s0"]["category"] == "" and picture(out, "s0").shape == (128, 128)


def test_photos_of_any_name_and_format_are_masked_and_what_is_left_out_is_named_once(tmp_path):
    """A name that is not UTF-8, one as long as a file system allows, a JPEG as Windows saves it; a phone's HEIC."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    image, latin = Image.fromarray(easy(1)[0].image), b"caf\xe9".decode("utf-8", "surrogateescape")
    for name, form in ((f"{latin}.jpg", "JPEG"), (f"{'n' * 250}.png", "PNG"), ("b.jfif", "JPEG"), ("c.avif", "AVIF")):
        with (folder / name).open("wb") as file:
            image.save(file, format=form)
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (folder / "Thumbs.db").write_bytes(b"x")
    command = (folder, folder / f"{latin}.jpg", "--class", "ball", "--out", out, "--set", "sampling.steps=1")
    for said in ("masked 4, masked before 0, failed 0", "Nothing is left to do: 4 photos"):
        result = run(*command)
        assert result.exit_code == 0 and said in result.output, result.output
        assert result.stderr.count("1 left out, HEIC, which is not read") == result.stderr.count("phone.heic") == 1
        assert "Thumbs" not in result.output
    rows = table(out)
    assert {"caf%E9", "b", "c"} < rows.keys() and rows["caf%E9"]["file"].endswith("/caf%E9.jpg")
    assert all(picture(out, name).shape == (128, 128) for name in rows)


BAD = {
    "no photo can be read": (["bad.jpg", "worse.png"], [], ["none of 2", "bad.jpg"]),
    "a folder without pictures": (["empty"], [], ["no picture", "empty"]),
    "two photos of one name": (["s0.png", "other/s0.jpg"], [], ["s0-mask.png", "rename"]),
    "masks into the photos' folder": (["s0.png"], ["--out", "."], ["--out", "choose another"]),
    "masks into a file": (["other/s0.jpg"], ["--out", "s0.png"], ["--out", "s0.png", "file"]),
    "a class pocket does not know": (["s0.png"], ["--class", "dog"], ["prior.category", "dog", "ball"]),
    "a class and none": (["s0.png"], ["--class", "ball", "--no-prior"], ["--class", "--no-prior"]),
    "an empty class": (["s0.png"], ["--class", ""], ["prior.category"]),
    "guidance, of which inversion has none": (["s0.png"], ["--set", "sampling.guidance=2"], ["sampling.guidance"]),
    "a scheduler, of which inversion has DDIM": (
        ["s0.png"],
        ["--set", "sampling.scheduler=euler"],
        ["sampling.scheduler"],
    ),
    "a spacing, likewise": (["s0.png"], ["--set", "sampling.spacing=trailing"], ["sampling.spacing"]),
    "a CLIP there is not": (["s0.png"], ["--set", "prior.clip=nothing:openai"], ["prior.clip", "nothing"]),
    "a table of others": (["s0.png"], ["--out", "taken"], ["masks.csv", "table"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_nothing_is_written(name, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "other", "taken"):
        (tmp_path / folder).mkdir()
    shutil.copy(photos[0] / "s0.png", tmp_path / "s0.png")
    shutil.copy(photos[0] / "s1.jpg", tmp_path / "other/s0.jpg")
    (tmp_path / "bad.jpg").write_text("no picture")
    (tmp_path / "worse.png").write_bytes(b"")
    (tmp_path / "taken/masks.csv").write_text("a,b\n")
    before = sorted(tmp_path.rglob("*"))
    given, options, words = BAD[name]
    result = run(*given, *options)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and result.stderr.count("\n") == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert sorted(tmp_path.rglob("*")) == before
