"""Statistics through the command line: of datasets and folders alike, what is counted, and what is refused."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from analysis.measures import STATISTICS, measure
from analysis.shapes import Normalisation
from benchmarks.rendered import rendered_dataset, rendered_folder
from maskmill.cli import app
from models.config.statistics import StatisticsConfig
from models.pocket.scenes import render

COUNT = 7


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["statistics", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same scenes as a dataset, of which scene 2 is rejected, and as a folder."""
    base = tmp_path_factory.mktemp("data")
    return rendered_dataset(base / "shapes", COUNT, rejected=(2,)), rendered_folder(base / "photos", COUNT, 5)


@pytest.fixture
def folder(data, tmp_path):
    return shutil.copytree(data[1], tmp_path / "photos")


def test_a_dataset_beside_a_folder_of_the_same_images(data, tmp_path):
    dataset, photos = data
    out = tmp_path / "out"
    done = invoke(dataset, "--reference", f"folder={photos}", "--out", out, "--set", "normalisation=per-axis")
    assert done.exit_code == 0, done.output
    assert "| statistic | shapes v1 | photos | distance |" in done.output and "measured 13, failed 0" in done.output
    assert "not binary" not in done.output and str(out / "report" / "index.html") in done.output
    kept, all_pairs = (pd.read_parquet(out / "samples" / f"{name}.parquet") for name in ("subject", "reference"))
    assert list(kept.index) == [0, 1, 3, 4, 5, 6] and list(all_pairs.index) == [f"{i:04d}" for i in range(COUNT)]
    for i in kept.index:
        scene = render(5, i)
        expected = list(measure(scene.image, scene.mask, "per-axis").statistics.values())
        for row in (kept.loc[i], all_pairs.iloc[i]):
            np.testing.assert_array_equal(row[list(STATISTICS)].astype(float), expected)
    table = pd.read_csv(out / "comparison.csv", index_col="statistic")
    assert (table.loc[list(STATISTICS), "distance"] < 0.5).all()
    assert np.isnan(table.loc["class_balance", "distance"]) and table.loc["class_balance", "mean"] <= 1

    again = invoke(f"folder={photos}", "--out", out)  # alone, in the same place
    assert again.exit_code == 0 and "distance" not in again.output.split("\n")[0], again.output
    assert [path.name for path in (out / "samples").iterdir()] == ["subject.parquet"]


def test_masks_that_are_not_binary_are_counted_and_files_that_cannot_be_read_named(folder, tmp_path):
    for i, grey in ((0, 127), (1, 128)):  # the ground stays ground, or becomes object
        mask = np.asarray(Image.open(folder / "masks" / f"{i:04d}.png"))
        Image.fromarray(np.where(mask == 0, grey, mask).astype(np.uint8)).save(folder / "masks" / f"{i:04d}.png")
    photo = folder / "images" / "0003.png"
    photo.write_bytes(photo.read_bytes()[:-2000])
    (folder / "masks" / "0004.png").write_bytes(b"no picture")
    done = invoke(f"folder={folder}", "--out", tmp_path / "out")
    assert done.exit_code == 1, done.output
    assert "5 samples measured, 2 masks that were not binary, thresholded at 127, 2 could not be read" in done.output
    assert "0003.png: expected a picture" in done.output and "0004.png: expected a picture" in done.output
    frame = pd.read_parquet(tmp_path / "out" / "samples" / "subject.parquet")
    assert frame.loc["0000", "size"] == render(5, 0).mask.mean() and frame.loc["0001", "size"] == 1
    assert frame.loc[["0003", "0004"], list(STATISTICS)].isna().all(axis=None)
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.ones((128, 128), np.uint8)).save(path)
    done = invoke(f"folder={folder}", "--out", tmp_path / "other")
    assert done.exit_code == 1 and f"none of {COUNT} pairs could be read" in done.output
    assert not list((tmp_path / "other").rglob("*.*"))


def test_names_of_files_may_be_anything(folder, tmp_path):
    names = ("<b>a|b`$x^", "two\nlines", os.fsdecode(b"\xff\xfe"), "\u202ertl", "0 ' \" %d {x}")
    for i, name in enumerate(names):
        for part in ("images", "masks"):
            (folder / part / f"{i:04d}.png").rename(folder / part / f"{name}.png")
    broken = folder / "masks" / f"{names[2]}.png"
    broken.write_bytes(b"no picture")
    done = invoke(f"folder={folder}", "--out", tmp_path / "out")
    assert done.exit_code == 1 and f"measured {COUNT - 1}, failed 1" in done.output, done.output
    frame = pd.read_parquet(tmp_path / "out" / "samples" / "subject.parquet")
    assert {names[0], names[1], "??", *names[3:]} < set(frame.index)
    assert "<b>" not in (tmp_path / "out" / "report" / "index.html").read_text()


def test_turned_photos_are_of_the_size_that_they_are_looked_at(folder, tmp_path):
    for path in (folder / "images").iterdir():
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).resize((128, 64)).save(path, exif=exif)
    for path in (folder / "masks").iterdir():
        Image.open(path).resize((64, 128)).save(path)
    assert invoke(f"folder={folder}", "--out", tmp_path / "out").exit_code == 0


def test_bad_input_is_refused_before_anything_is_written(data, folder, tmp_path):
    dataset, photos = data
    out, (unequal, unpaired, full) = tmp_path / "out", (tmp_path / name for name in ("unequal", "unpaired", "full"))
    for path in (unequal, unpaired):
        shutil.copytree(photos, path)
    for i in range(6):
        Image.new("L", (60, 128)).save(unequal / "masks" / f"{i:04d}.png")
    (unpaired / "masks" / "0001.png").unlink()
    full.mkdir()
    (full / "thesis.tex").write_text("years of work")
    for arguments, said in (
        ((f"folder={unequal}", "--out", out), "0003.png, "),
        ((f"folder={unequal}", "--out", out), "and 1 more: expected masks of their photos' sizes"),
        ((dataset, "--reference", f"folder={unpaired}", "--out", out), "no mask for"),
        ((dataset, "--reference", photos, "--out", out), "expected a maskmill dataset"),
        ((dataset, "--reference", f"={photos}", "--out", out), "expected NAME=DIR"),
        ((f"MINE={photos}", "--out", out), "expected a benchmark among"),
        ((f"folder={photos}", "--version", "v1", "--out", out), "is a folder without versions"),
        ((dataset, "--version", "v9", "--out", out), "no version v9"),
        ((rendered_dataset(tmp_path / "none", 2, rejected=(0, 1)), "--out", out), "has no kept sample"),
        ((dataset, "--out", full), "holds no statistics"),
        ((dataset, "--out", dataset / "repo" / "out"), "lies in the dataset's repository"),
        ((f"folder={photos}", "--reference", dataset, "--out", dataset / "repo" / "out"), "repository"),
        ((dataset, "--out", full / "thesis.tex"), "found a file"),
        ((dataset, "--out", out, "--set", "pairs=0"), "pairs"),
        ((dataset, "--out", out, "--set", "normalisation=both"), "normalisation"),
    ):
        done = invoke(*arguments)
        assert done.exit_code == 2 and said in done.output and not out.exists(), (arguments, done.output)


def test_the_configs_normalisations_are_those_there_are():
    assert StatisticsConfig.model_fields["normalisation"].annotation == Normalisation
