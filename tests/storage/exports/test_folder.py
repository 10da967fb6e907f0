"""An export appears whole or not at all, goes on after a kill, and takes the place of nothing but an earlier export."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models import atomic
from models.config.export import FORMATS, ExportConfig
from storage.dataset.reader import open_dataset
from storage.exports import folder, format_of, writing
from storage.exports.folder import ExportFolder
from storage.exports.plan import plan_export
from storage.exports.writing import check_export
from tests.storage.exports.conftest import export, write_dataset

ROOT = Path(__file__).resolve().parents[3]


def contents(place: Path) -> dict[str, str]:
    files = (path for path in sorted(place.rglob("*")) if path.is_file())
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory) -> dict[str, str]:
    """The contents of an export to folders that nothing has disturbed."""
    return contents(export(dataset, tmp_path_factory.mktemp("whole") / "out", "folders"))


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_stopped_after_a_block_goes_on_and_ends_the_same(dataset, tmp_path, form, monkeypatch):
    monkeypatch.setattr(type(format_of(form)), "block", 8)
    whole = export(dataset, tmp_path / "whole", form)
    for blocks in (1, 1, 0):
        export(dataset, tmp_path / "out", form, blocks=blocks)
        assert not (tmp_path / "out").exists()
    plan = plan_export(dataset, ExportConfig(format=form, split="0.7,0.2,0.1"), "0")
    done = [ExportFolder(tmp_path / "out").is_done(block) for block in plan.blocks(8)]
    assert sum(done) == 2 and len(done) == 4
    out = export(dataset, tmp_path / "out", form)
    assert contents(out) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: digest for name, digest in contents(out).items() if name != "SHA256SUMS"}


KILLED = """
import os, signal, sys
from pathlib import Path
from storage.dataset.reader import open_dataset
from storage.exports.formats import folders
from tests.storage.exports.conftest import export
png, calls = folders.png, []
def deadly(picture):
    calls.append(picture)
    return png(picture) if len(calls) < 20 else os.kill(os.getpid(), signal.SIGKILL)
folders.png = deadly
export(open_dataset(sys.argv[1]), Path(sys.argv[2]), "folders", overwrite=True)
"""


def test_a_killed_export_leaves_the_earlier_one_and_goes_on(dataset, tmp_path, whole):
    """The earlier one is of another seed, so that the two can be told apart."""
    out = export(dataset, tmp_path / "out", "folders", seed=1)
    earlier = contents(out)
    command = [sys.executable, "-c", KILLED, dataset.path, out]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert contents(out) == earlier and ExportFolder(out).partial.exists()
    assert contents(export(dataset, out, "folders", overwrite=True)) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


POINTS = {
    "the plan": (folder, "_write", 1),
    "a record": (folder, "_write", 2),
    "the table": (writing, "write_table", 1),
    "the card": (writing, "write_card", 1),
    "the sums": (folder, "_digest", 30),
}


@pytest.mark.parametrize("point", POINTS)
def test_an_export_that_dies_at_any_point_leaves_the_earlier_one_and_goes_on(
    dataset, tmp_path, whole, point, monkeypatch
):
    out = export(dataset, tmp_path / "out", "folders", seed=1)
    earlier, (module, name, nth), calls = contents(out), POINTS[point], []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == nth:
            raise KeyboardInterrupt
        return original(*arguments)

    original = getattr(module, name)
    # The earlier export is looked at first, which takes its sums as well.
    nth += len(earlier) - 1 if name == "_digest" else 0
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, name, dies)
        export(dataset, out, "folders", overwrite=True)
    assert contents(out) == earlier
    assert contents(export(dataset, out, "folders", overwrite=True)) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("exchanged", [False, True], ids=["before", "after"])
def test_an_export_killed_while_it_takes_the_place_of_another_is_whole_after_the_next(
    dataset, tmp_path, whole, exchanged, monkeypatch
):
    out = export(dataset, tmp_path / "out", "folders", seed=1)
    earlier, exchange = contents(out), atomic._exchange

    def dies(one, other):
        assert not exchanged or exchange(one, other)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(atomic, "_exchange", dies)
        export(dataset, out, "folders", overwrite=True)
    assert contents(out) == (whole if exchanged else earlier)
    assert contents(export(dataset, out, "folders", overwrite=True)) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_begun_under_another_plan_is_begun_anew(dataset, tmp_path, whole):
    export(dataset, tmp_path / "out", "folders", blocks=1, seed=5)
    export(dataset, tmp_path / "out", "coco", blocks=1)
    assert contents(export(dataset, tmp_path / "out", "folders")) == whole


def test_a_dataset_of_the_same_name_in_the_place_of_the_first_is_not_mixed_with_it(tmp_path):
    first = write_dataset(tmp_path / "a" / "data", 10)
    export(first, tmp_path / "out", "folders", blocks=1)
    second = write_dataset(tmp_path / "b" / "data", 10)
    (tmp_path / "a" / "data").rename(tmp_path / "a" / "gone")
    second.path.rename(tmp_path / "a" / "data")
    out = export(open_dataset(first.path), tmp_path / "out", "folders")
    assert contents(out) == contents(export(open_dataset(first.path), tmp_path / "whole", "folders"))


def refused(dataset, out: Path, said: str, overwrite: bool = True, **more) -> None:
    """ValueError in one line, and nothing anywhere near `out` has changed."""
    before = contents(out.parent)
    with pytest.raises(ValueError, match=said) as error:
        check_export(ExportConfig(**{"format": "folders"} | more), dataset.path, out, overwrite)
    assert "\n" not in str(error.value)
    assert contents(out.parent) == before


def test_what_is_there_is_refused_without_overwrite(dataset, tmp_path):
    refused(dataset, export(dataset, tmp_path / "out", "folders"), "already exists", overwrite=False)


CHANGES = {
    "a file more": lambda out: (out / "train/images/mine.png").write_bytes(b"x"),
    "a file of mine in a folder of mine": lambda out: ((out / "runs").mkdir(), (out / "runs/weights.pt").touch()),
    "a link": lambda out: (out / "link").symlink_to("/"),
    "a mask mended by hand": lambda out: (out / "train/masks/000000.png").write_bytes(b"better"),
    "a file turned into a link": lambda out: (
        (out / "README.md").rename(out.parent / "README.md"),
        (out / "README.md").symlink_to(out.parent / "README.md"),
    ),
    "no sums": lambda out: (out / "SHA256SUMS").unlink(),
    "no facts": lambda out: (out / "maskmill.json").unlink(),
    "other sums": lambda out: (out / "SHA256SUMS").write_text("what\n"),
    "a pipe": lambda out: os.mkfifo(out / "pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_export_that_somebody_changed_is_not_overwritten(dataset, tmp_path, change):
    out = export(dataset, tmp_path / "out", "folders", split="1", seed=0)
    CHANGES[change](out)
    refused(dataset, out, "holds no export; choose" if change in ("no sums", "no facts") else "move it away")


def test_a_file_added_during_the_export_is_not_lost(dataset, tmp_path):
    out = export(dataset, tmp_path / "out", "folders")
    export(dataset, out, "folders", overwrite=True, seed=2, blocks=1)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="mine.txt does not belong to the export"):
        export(dataset, out, "folders", overwrite=True, seed=2)
    assert (out / "mine.txt").read_text() == "mine"


def test_strangers_are_never_replaced(dataset, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"x")
    (tmp_path / "file").write_text("x")
    (tmp_path / ".new.partial").mkdir()
    (tmp_path / ".new.partial/mine").touch()
    (tmp_path / ".newer.old").write_text("mine")
    refused(dataset, tmp_path / "photos", r"\(a.jpg\) and holds no export")
    refused(dataset, tmp_path / "file", "expected a folder for the export, found a file")
    refused(dataset, tmp_path / "file" / "out", "not a folder that can be written to")
    refused(dataset, tmp_path / "new", "the export needs this name")
    refused(dataset, tmp_path / "newer", "the export needs this name")
    (tmp_path / "empty").mkdir()
    assert export(dataset, tmp_path / "empty", "folders") == tmp_path / "empty"


def test_a_datasets_own_folders_are_refused(tmp_path):
    dataset = write_dataset(tmp_path / "data", 10)
    refused(dataset, tmp_path / "data", "holds no export")
    refused(dataset, tmp_path / "data/repo", "repository")
    refused(dataset, tmp_path / "data/repo/new", "repository")
    export(dataset, tmp_path / "data/exports/new", "folders", split="1")


def test_nothing_is_put_where_an_export_under_way_is_cleared(dataset, tmp_path):
    refused(dataset, tmp_path / ".photos.partial/new", "is a name for unfinished exports")
    refused(dataset, tmp_path / ".photos.old", "is a name for unfinished exports")
    assert not list(tmp_path.iterdir())


def test_a_link_to_an_export_is_followed(dataset, tmp_path):
    real = export(dataset, tmp_path / "real", "folders", split="1")
    (tmp_path / "link").symlink_to(real)
    export(dataset, tmp_path / "link", "folders", overwrite=True)
    assert (tmp_path / "link").is_symlink() and (real / "val").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_two_exports_to_one_folder_do_not_meet(dataset, tmp_path):
    place = ExportFolder.at(tmp_path / "out")
    plan = plan_export(dataset, ExportConfig(format="folders"), "0")
    with place.begun(plan):
        refused(dataset, tmp_path / "out", "another export is writing it")
        with pytest.raises(ValueError, match="another export"), place.begun(plan):
            pass


def test_versions_and_sizes_are_checked_before_anything_is_written(dataset, tmp_path):
    refused(dataset, tmp_path / "out", "published version", version="build")
    refused(dataset, tmp_path / "out", "no version v9", version="v9")
    refused(dataset, tmp_path / "out", "leaves val without any", split="0.98,0.01,0.01")
    assert not list(tmp_path.iterdir())
