"""Where something may be written: what is refused, in which words, and that nothing is ever written."""

import errno
from pathlib import Path

import pytest

from models.errors import UserError
from storage.places import check_place, check_writable


def marked(folder: Path) -> bool:
    return (folder / "mark").exists()


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("empty", "ours", "other", "killed", "dataset/repo", "locked"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("ours/mark", "ours/more", "other/b", "other/a", "killed/x.partial", "file"):
        (tmp_path / name).write_text("x")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    return tmp_path


def check(path: Path, option: str = "--out") -> None:
    dataset = next(each for each in path.absolute().parents if (each / "dataset").exists()) / "dataset"
    leftover = ".partial"
    check_place(
        path, "run", option=option, is_ours=marked, is_leftover=lambda n: n.endswith(leftover), outside=[dataset]
    )


@pytest.mark.parametrize("name", ["new", "new/below", "empty", "link", "ours", "killed", "dataset/new"])
def test_a_new_an_empty_and_an_earlier_folder_are_taken_and_stay_as_they_are(places, name):
    before = sorted(places.rglob("*"))
    check(places / name)
    assert sorted(places.rglob("*")) == before


@pytest.mark.parametrize(
    "name, said",
    [
        ("nowhere", "expected a folder, found a broken link"),
        ("file", "expected a folder for the run, found a file"),
        ("file/below", "file is not a folder that can be written to"),
        ("other", r"is not empty \(a\) and holds no run"),
        ("dataset/repo", "lies in the dataset's repository"),
        ("dataset/repo/new", "lies in the dataset's repository"),
    ],
)
def test_others_are_refused_with_the_option_and_what_to_do(places, name, said):
    before = sorted(places.rglob("*"))
    with pytest.raises(UserError, match=rf"^--out {places / name}: .*{said}.*; choose .*") as error:
        check(places / name)
    assert "\n" not in str(error.value) and sorted(places.rglob("*")) == before


def test_a_folder_that_may_not_be_written_to_is_refused(places, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != places / "locked")  # root may write anywhere
    for path in (places / "locked", places / "locked" / "below"):
        with pytest.raises(UserError, match="locked is not a folder that can be written to"):
            check(path)


def test_where_anything_may_lie_other_files_are_no_hindrance_and_a_path_needs_no_option(places):
    check_place(places / "other", "pictures")
    with pytest.raises(UserError, match=f"^{places / 'file'}: expected"):
        check_place(places / "file", "pictures", option="")


def test_a_path_that_is_not_utf8_is_refused_and_printed_escaped(places):
    with pytest.raises(UserError, match=rf"^--out {places}/caf%E9: expected a path in UTF-8; choose"):
        check(places / b"caf\xe9".decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("name", ["x" * 256, "new/" + "x" * 300, "/".join(["x" * 200] * 25)])
def test_a_name_that_is_too_long_is_refused(places, name):
    for refused in (lambda path: check_place(path, "run"), check_writable):
        with pytest.raises(UserError, match="cannot be used as a path .File name too long.; choose another path"):
            refused(places / name)


def test_a_path_below_a_folder_that_may_not_be_entered_is_refused(places, monkeypatch):
    def stat(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:  # root may enter any
        patch.setattr(Path, "stat", stat)
        with pytest.raises(UserError, match="cannot be used as a path .Permission denied."):
            check_place(places / "locked" / "below", "run")


def test_a_read_only_file_system_is_refused(places, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: not mode & 2)
    with pytest.raises(UserError, match="is not a folder that can be written to"):
        check(places / "new")
