"""Files as people bring them, through train, predict and evaluate: names, formats, archives as they unpack, damage."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.checks.segmenters import check_train
from maskmill.cli import app
from models.segmenters.smp.config import UNetConfig
from storage.results.predictions import PredictionFolder
from storage.sources import Source

LATIN = b"caf\xe9".decode("utf-8", "surrogateescape")
LONG = "n" * 250
TINY = ("encoder=resnet18", "size=64", "epochs=1", "batch_size=4", "run.device=cpu")
OPTIONS = [part for each in TINY for part in ("--set", each)]


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def pair(root: Path, photo: str, mask: str, size: tuple[int, int] = (52, 40), form: str = "JPEG") -> None:
    """A bright square on noise, and its mask as .png of `size`; '' for a photo or a mask that there is not."""
    rng = np.random.default_rng(len(photo))
    truth = np.zeros((40, 52), np.uint8)
    truth[8:30, 10:35] = 255
    noise = rng.integers(0, 120, (40, 52, 3))
    pictures = {
        "DUTS-TR-Image": (photo, Image.fromarray(np.where(truth[..., None] > 0, 220, noise).astype(np.uint8)), form),
        "DUTS-TR-Mask": (mask, Image.fromarray(truth).resize(size), "PNG" if mask.endswith(".png") else "JPEG"),
    }
    for part, (name, image, kind) in pictures.items():
        (root / part).mkdir(parents=True, exist_ok=True)
        if name:
            with (root / part / name).open("wb") as file:
                image.save(file, format=kind)


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """DUTS-TR in two folders of its name, with what has been reported of it and of other people's files."""
    base = tmp_path_factory.mktemp("brought")
    root = base / "set/DUTS-TR"
    for name in ("a", "b", LATIN, LONG, "twice"):
        pair(root, f"{name}.jpg", f"{name}.png")
    pair(root, "\u00e9.jfif", "e\u0301.png")
    pair(root, "c.avif", "c.png", form="AVIF")
    pair(root, "none", "none.png")
    pair(root, "resized.jpg", "resized.png", (50, 40))
    pair(root, "turned.jpg", "turned.png", (40, 52))
    pair(root, "", "twice.jpg")
    pair(root, "", "lone.png")
    for name in ("Thumbs.db", "._a.jpg", "README.txt"):
        (root / "DUTS-TR-Image" / name).write_bytes(b"x")
    return base


@pytest.fixture(scope="module")
def trained(brought):
    done = invoke("train", "unet", "--folder", f"DUTS-TR={brought / 'set'}", "--run", brought / "run", *OPTIONS)
    assert done.exit_code == 0, done.output
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("maskmill: ")]
    return brought / "run", said


def test_a_set_as_it_unpacks_trains_and_what_was_done_is_said_and_listed(trained):
    run, said = trained
    listed = (run / "files.txt").read_text()
    for count, what, name in (
        (1, "left out, not a picture", "README.txt"),
        (1, "left out, another file of its name is taken", "twice.jpg"),
        (1, "dropped, a mask without a photo", "lone.png"),
        (1, "dropped, a mask of another shape than its photo", "turned.png"),
        (1, "resized, a mask of another size than its photo", "resized.png"),
    ):
        assert f"{count} {what}: " in said and name in said and name in listed
    assert "Thumbs" not in said + listed and f"all in {run / 'files.txt'}" in said


def test_photos_of_any_name_are_predicted_once(trained, brought, tmp_path):
    photos, out = brought / "set/DUTS-TR/DUTS-TR-Image", tmp_path / "out"
    done = invoke("predict", trained[0], photos, "--out", out)
    assert done.exit_code == 0 and "predicted 10, before 0, failed 0" in done.output, done.output
    assert done.stderr.count("1 left out, not a picture: DUTS-TR-Image/README.txt") == 1
    again = invoke("predict", trained[0], photos / f"{LATIN}.jpg", photos, "--out", out)
    assert "Nothing is left to do: 10 photos" in again.output and again.stderr.count("README.txt") == 1
    folder = PredictionFolder(out)
    assert {"caf%E9", "none", "c", folder.name_of(Path(f"{LONG}.jpg"))} < folder.read().keys()
    assert all(os.fsencode(path.name).decode() for path in out.iterdir()) and len(list(out.glob("*-mask.png"))) == 10


def test_a_photo_that_is_given_by_a_name_that_is_not_utf8_is_predicted_or_named(trained, brought, tmp_path):
    photos = brought / "set/DUTS-TR/DUTS-TR-Image"
    (torn := tmp_path / f"torn{LATIN}.jpg").write_bytes((photos / "a.jpg").read_bytes()[:400])
    done = invoke("predict", trained[0], photos / f"{LATIN}.jpg", torn, "--out", tmp_path / "out")
    assert done.exit_code == 1 and "predicted 1, before 0, failed 1" in done.output, done.output
    assert "torncaf%E9.jpg: expected a picture" in done.stderr


def test_a_set_as_it_unpacks_is_evaluated(trained, brought, tmp_path):
    command = ("evaluate", trained[0], "--benchmark", f"DUTS-TR={brought / 'set'}", "--out", tmp_path / "out")
    done = invoke(*command)
    assert done.exit_code == 0 and "scored 9, before 0, failed 0" in done.output, done.output
    assert "1 resized, a mask of another size than its photo: DUTS-TR-Mask/resized.png" in done.stderr
    assert "turned.png" in (tmp_path / "out/scores/run/DUTS-TR/files.txt").read_text()
    assert "caf%E9" in set(pd.read_parquet(tmp_path / "out/images.parquet")["name"])
    assert "scored 0, before 9, failed 0" in invoke(*command).output


@pytest.fixture
def torn(tmp_path):
    for name in "abcd":
        pair(tmp_path / "set", f"{name}.jpg", f"{name}.png")
    for name in "bd":
        path = tmp_path / f"set/DUTS-TR-Image/{name}.jpg"
        path.write_bytes(path.read_bytes()[:-300])
    return tmp_path / "set"


def test_truncated_pictures_are_refused_before_a_training_starts(torn, tmp_path):
    command = ("train", "unet", "--folder", f"DUTS-TR={torn}", "--run", tmp_path / "run", *OPTIONS)
    for check in ((), ("--check", "full")):
        done = invoke(*command, *check)
        assert done.exit_code == 2 and not (tmp_path / "run").exists(), done.output
        line = done.stderr.splitlines()[-1]
        assert line.startswith("maskmill: 2 of 4 pairs cannot be read: ") and "b.jpg" in line and "d.jpg" in line
    config = UNetConfig(encoder="resnet18", size=64, batch_size=2, run={"device": "cpu"})
    source = Source(path=torn, layout="DUTS-TR")
    assert check_train(config, source, tmp_path / "run", "headers")[1] == 3


def test_a_check_of_pictures_is_for_folders(tmp_path):
    done = invoke("train", "unet", "--data", tmp_path, "--check", "full", "--run", tmp_path / "run")
    assert done.exit_code == 2 and "--check full: is for the pictures of --folder" in done.stderr
    assert invoke("train", "unet", "--folder", "ECSSD=x", "--check", "some", "--run", "run").exit_code == 2
