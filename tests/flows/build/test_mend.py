"""Masks mended by hand become a version: what changes, what stays, what later builds keep, and a killed run."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import flows.mend
from flows.build import build
from flows.mend import mend
from flows.recut import recut
from maskmill.cli import app
from models.cut.masks import border_of, box, num_components_of
from models.errors import UserError
from storage.dataset.reader import diff, open_dataset
from storage.dataset.writer import DatasetWriter
from storage.mending.plan import Source
from tests.flows.conftest import arrays, assert_equal, changed
from tests.storage.exports.conftest import export
from tests.storage.mending.people import redraw

FOLLOWS = {"mask", "area", "box", "energy", "border", "num_components", "status", "reason"}


def ring(size: tuple[int, int]) -> np.ndarray:
    """A mask that no cut would give, of a tenth of the image."""
    rows, columns = np.indices(size)
    middle = np.hypot(rows - size[0] / 2, columns - size[1] / 2)
    return np.asarray((middle < 0.3 * size[0]) & (middle > 0.24 * size[0]))


def run(*arguments: object):
    return CliRunner().invoke(app, ["mend", *map(str, arguments)])


def content(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "build.lock"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def drawn(built, tmp_path_factory) -> tuple[Path, list[int]]:
    """A CVAT export of which the first kept sample is drawn again, the second emptied, the third rejected."""
    dataset = open_dataset(built)
    first, second, third = kept = dataset.kept()[:3].tolist()
    out = export(dataset, tmp_path_factory.mktemp("drawn") / "out", "cvat", split="1")
    size = dataset.image_size
    return redraw("cvat", out, {first: ring(size), second: np.zeros(size, bool)}, rejected=(third,)), kept


@pytest.fixture(scope="module")
def mended(built, drawn, tmp_path_factory) -> Path:
    """v2 of the built dataset, by the command line; not to be changed."""
    out = shutil.copytree(built, tmp_path_factory.mktemp("mended") / "dataset")
    done = run(out, "--from", drawn[0], "--format", "cvat")
    assert done.exit_code == 0, done.output
    assert "mended    2 (1 emptied), 1 rejected by hand\n" in done.stdout and "v2" in done.stdout
    return out


def test_the_drawn_masks_and_what_follows_from_them_change_and_nothing_else(built, drawn, mended):
    _, (first, second, third) = drawn
    before, after = arrays(open_dataset(built)), arrays(open_dataset(mended))
    assert after.keys() - before.keys() == {"mended"}
    others = np.setdiff1d(np.arange(8), [first, second, third])
    for name, values in before.items():
        if name in FOLLOWS:
            np.testing.assert_array_equal(after[name][third], values[third]) if name in (
                "mask",
                "box",
                "area",
            ) else None
            same = others if name not in ("status", "reason") else []  # ranking is of the whole dataset
            np.testing.assert_array_equal(after[name][same], values[same], err_msg=name)
        else:
            np.testing.assert_array_equal(after[name], values, err_msg=name)
    assert (after["mended"][others] == "").all()


def test_the_columns_are_those_of_the_new_masks(built, drawn, mended):
    (first, second, third), dataset = drawn[1], open_dataset(mended)
    frame, mask = dataset.frame(), ring(dataset.image_size)
    np.testing.assert_array_equal(dataset[first].mask, mask)
    row = frame.loc[first]
    assert (row["box"], row["num_components"]) == (box(mask), num_components_of(mask))
    assert row["area"] == np.float32(mask.mean()) and row["border"] == np.float32(border_of(mask))
    assert np.isnan(row["energy"]) and row["status"] == "kept"
    assert frame["reason"][[second, third]].tolist() == ["empty", "rejected by hand"]
    assert frame["status"][[second, third]].tolist() == ["rejected", "rejected"]
    assert dataset.statistics["kept"] == (frame["status"] == "kept").sum()
    assert open_dataset(mended, "v1").frame().equals(open_dataset(built).frame())


def test_the_version_says_who_changed_what(drawn, mended):
    (source, indices), dataset = drawn, open_dataset(mended)
    (record,) = dataset.mends
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    assert record == {
        "format": "cvat", "base": "v1", "digest": digest, "file": "annotations.xml",
        "masks": 2, "emptied": 1, "rejected": 1,
    }  # fmt: skip
    kinds = ("mask", "mask", "rejected")
    assert dataset.frame()["mended"][indices].tolist() == [f"{kind} v1 {digest}" for kind in kinds]
    page = (mended / "report" / "index.html").read_text()
    assert "Since v1" in page and digest in (mended / "report" / "samples.js").read_text()
    for a, b in (("v1", "v2"), ("v2", "v1")):
        rows = diff(mended, a, b)
        assert set(indices) <= set(rows.index) and rows.loc[indices[0], "mask_iou"] < 1


def test_an_export_names_the_mended_masks(drawn, mended, tmp_path):
    dataset = open_dataset(mended)
    card = (export(dataset, tmp_path / "out", "folders", split="1") / "README.md").read_text()
    assert "A person mended 1 of the masks; maskmill made" in card and "No person drew" not in card


def test_the_same_file_again_changes_nothing(drawn, mended):
    before = content(mended)
    again = run(mended, "--from", drawn[0], "--format", "cvat")
    assert again.exit_code == 0 and "Nothing is mended" in again.stdout, again.output
    assert content(mended) == before and mend(mended, Source(drawn[0], "cvat")).version == "v2"


def test_what_does_not_fit_is_refused_before_anything_is_written(built, drawn, tmp_path):
    out = shutil.copytree(built, tmp_path / "dataset")
    before = content(out)
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(drawn[0].read_text().replace('label="cat"', 'label="wolf"'))
    for file, form in ((wrong, "cvat"), (tmp_path / "nowhere", "folders"), (drawn[0], "labelstudio"), (wrong, "x")):
        refused = run(out, "--from", file, "--format", form)
        assert refused.exit_code == 2 and refused.stderr.count("\n") == 1, refused.output
    assert content(out) == before


def test_a_recut_keeps_what_was_mended_and_solves_the_rest(config, mended, drawn, tmp_path):
    (first, second, third), out = drawn[1], shutil.copytree(mended, tmp_path / "dataset")
    before = arrays(open_dataset(out))
    recut(changed(config, cut={"lambda_": 5.0, "neighbourhood": 4, "grid": "attention"}), out)
    after, frame = arrays(open_dataset(out)), open_dataset(out).frame()
    same = (before["mask"] == after["mask"]).all(axis=(1, 2))
    assert same[[first, second, third]].all() and not same.all()
    np.testing.assert_array_equal(before["mended"], after["mended"])
    assert frame["reason"][third] == "rejected by hand" and frame["status"][first] == "kept"
    recut(changed(config, screen={"min_area": 0.9, "max_area": 1.0}), out)
    frame = open_dataset(out).frame()
    assert frame["reason"][[first, second, third]].tolist() == ["too small", "empty", "rejected by hand"]


def test_an_extended_dataset_keeps_what_was_mended(config, mended, drawn, tmp_path):
    out = shutil.copytree(mended, tmp_path / "dataset")
    before = arrays(open_dataset(out))
    build(changed(config, count=10), out)
    after, dataset = arrays(open_dataset(out)), open_dataset(out)
    for name in ("mask", "mended", "image", "energy"):
        np.testing.assert_array_equal(before[name], after[name][:8], err_msg=name)
    assert (after["mended"][8:] == "").all() and dataset.frame()["reason"][drawn[1][2]] == "rejected by hand"


def test_the_same_export_may_be_mended_on_and_another_version_s_change_is_not_overwritten(config, built, tmp_path):
    out = shutil.copytree(built, tmp_path / "dataset")
    dataset = open_dataset(out)
    first, second = dataset.kept()[:2].tolist()
    size = dataset.image_size
    folders = export(dataset, tmp_path / "folders", "folders", split="1")
    assert mend(out, Source(redraw("folders", folders, {first: ring(size)}), "folders")).version == "v2"
    redraw("folders", folders, {first: ring(size)[:, ::-1], second: ring(size)})
    assert mend(out, Source(folders, "folders")).version == "v3"
    redraw("folders", folders, {first: dataset[first].mask})
    assert mend(out, Source(folders, "folders")).version == "v4"
    np.testing.assert_array_equal(open_dataset(out)[first].mask, dataset[first].mask)
    recut(changed(config, cut={"lambda_": 5.0, "neighbourhood": 4, "grid": "attention"}), out)
    third = next(i for i in dataset.kept()[2:] if not np.array_equal(open_dataset(out)[i].mask, dataset[i].mask))
    assert run(out, "--from", folders, "--format", "folders").stdout.startswith("Nothing is mended")
    refused = run(out, "--from", redraw("folders", folders, {third: ring(size)}), "--format", "folders")
    assert refused.exit_code == 2 and "has changed since v1" in refused.stderr, refused.output


@pytest.mark.parametrize("stop", ["mend_masks", "commit", "screen", "rank", "publish", "reset", "report"])
def test_interrupted_the_old_version_stays_and_the_same_command_ends_as_uninterrupted(
    config, built, drawn, mended, tmp_path, monkeypatch, stop
):
    out, source = shutil.copytree(built, tmp_path / "dataset"), Source(drawn[0], "cvat")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    owner, name = {
        "mend_masks": (flows.mend, "mend_masks"),
        "commit": (DatasetWriter, "commit"),
        "screen": (flows.build, "screen_shard"),
        "rank": (flows.build, "rank_samples"),
        "publish": (DatasetWriter, "publish"),
        "reset": (DatasetWriter, "published"),
        "report": (flows.mend, "write_report"),
    }[stop]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(owner, name, property(interrupt) if stop == "reset" else interrupt)
        mend(out, source)
    assert open_dataset(out).version == ("v2" if stop == "report" else "v1")
    assert open_dataset(out, "v1").frame().equals(open_dataset(built).frame())
    if stop in ("screen", "rank", "publish", "reset"):
        other = shutil.copytree(drawn[0].parent, tmp_path / "other")
        redraw("cvat", other, {drawn[1][0]: ~ring((64, 64))})
        with pytest.raises(UserError, match="finish it first"):
            mend(out, Source(other, "cvat"))
        with pytest.raises(UserError, match="finish it first"):
            recut(changed(config, cut={"lambda_": 5.0}), out)
    assert mend(out, source).version == "v2"
    assert_equal(out, mended)
    assert open_dataset(out).mends == open_dataset(mended).mends
