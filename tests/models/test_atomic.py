"""Files and folders that are replaced: whoever is killed at any step leaves the earlier content or the new one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models import atomic
from models.atomic import old_of, partial_of, put, replacing, replacing_folder

ROOT = Path(__file__).resolve().parents[2]
# Replaces argv[2], a file or a folder of three files, and is killed at the n-th call of one of the steps.
KILLED = """
import os, pathlib, signal, sys
from models import atomic

kind, path, nth = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
calls = []

def deadly(step):
    def dies(*arguments, **options):
        for moment in ("before", "after"):
            calls.append(step)
            if len(calls) == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*arguments, **options) if moment == "before" else result
        return result
    return dies

atomic._flush, atomic._exchange, os.sync = deadly(atomic._flush), deadly(atomic._exchange), deadly(os.sync)
pathlib.Path.replace, pathlib.Path.write_text = deadly(pathlib.Path.replace), deadly(pathlib.Path.write_text)
if kind == "file":
    with atomic.replacing(path) as partial:
        partial.write_text("new" * 9999)
else:
    with atomic.replacing_folder(path) as partial:
        for name in "abc":
            (partial / name).write_text("new" * 9999)
"""


def content(path: Path) -> object:
    return {each.name: each.read_text() for each in path.iterdir()} if path.is_dir() else path.read_text()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_at_any_step_the_earlier_or_the_new_is_there_and_a_next_one_leaves_no_trace(kind, tmp_path):
    path, new = tmp_path / "out", "new" * 9999
    old = "old" if kind == "file" else {"a": "old", "d": "old"}
    whole = new if kind == "file" else dict.fromkeys("abc", new)
    seen = []
    for nth in range(1, 99):
        write(path, old)
        script = [sys.executable, "-c", KILLED, kind, path, str(nth)]
        done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
        assert content(path) in (old, whole), nth
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        seen.append(content(path) == whole)
    assert seen == sorted(seen) and {False, True} <= set(seen)
    assert content(path) == whole and [each.name for each in tmp_path.iterdir()] == ["out"]


def write(path: Path, given: object) -> None:
    """Replace whatever is at `path`, without the functions under test."""
    if isinstance(given, str):
        path.write_text(given)
        return
    subprocess.run(["rm", "-rf", path], check=True)
    path.mkdir()
    for name, text in given.items():
        (path / name).write_text(text)


def test_what_raises_leaves_the_earlier_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert content(tmp_path) == {"file": "old"}


def test_a_mark_keeps_two_writers_of_one_file_apart(tmp_path):
    path = tmp_path / "file"
    with replacing(path, ".1") as one, replacing(path, ".2") as other:
        assert len({one, other, partial_of(path)}) == 3
        one.write_text("1"), other.write_text("2")
    assert content(tmp_path) == {"file": "1"}


def test_where_folders_cannot_be_exchanged_the_earlier_is_moved_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    path = tmp_path / "folder"
    write(path, {"a": "old"})
    write(old_of(path), {"a": "left by a kill"})
    with replacing_folder(path) as partial:
        (partial / "b").write_text("new")
    assert content(path) == {"b": "new"} and not old_of(path).exists()


def test_a_link_stays_a_link_and_its_folder_is_replaced(tmp_path):
    write(tmp_path / "folder", {"a": "old"})
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for text in ("1", "2"):
        with replacing_folder(tmp_path / "link") as partial:
            (partial / "a").write_text(text)
        assert (tmp_path / "link").is_symlink() and content(tmp_path / "folder") == {"a": text}


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    steps, replace = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: steps.append(os.readlink(f"/proc/self/fd/{file}")))
    monkeypatch.setattr(os, "sync", lambda: steps.append("sync"))
    monkeypatch.setattr(Path, "replace", lambda self, to: steps.append("replace") or replace(self, to))
    (tmp_path / "written").write_text("new")
    put(tmp_path / "written", tmp_path / "file")
    with replacing_folder(tmp_path / "folder"):
        pass
    assert steps == [str(tmp_path / "written"), "replace", str(tmp_path), "sync", "replace", str(tmp_path)]
