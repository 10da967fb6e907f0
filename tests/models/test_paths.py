"""Paths as people write them: `~` is the home folder at every entrance, and is never the name of a folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.config.build import BuildConfig
from models.config.photos import MaskConfig
from models.errors import UserError
from models.paths import GivenPath, given_path
from models.pocket.config import PretrainConfig
from models.segmenters.encoder.config import EncoderConfig


@pytest.mark.parametrize("text, below", [("~", ""), ("~/", ""), ("~/a/b", "a/b"), ("~/a~b/~", "a~b/~")])
def test_a_tilde_is_the_home_folder_even_beside_a_folder_of_that_name(home, text, below):
    (home.parent / "here" / "~").mkdir()
    for path in (text, Path(text)):
        assert given_path(path) == home / below == TypeAdapter(GivenPath).validate_python(path)


@pytest.mark.parametrize("text", ["a~b", "a/~/b", "x~", "$HOME/x", "/~", "a:b/c", ".", "http", "C:"])
def test_a_path_without_one_at_its_beginning_stays_as_it_is(home, text):
    assert given_path(text) == Path(text)


@given(st.text("abc/.~-_ é日\udcff", min_size=1, max_size=20).filter(lambda text: text[0] != "~"))
def test_any_other_path_stays_as_it_is(text):
    assert given_path(text) == given_path(given_path(text)) == Path(text)


def test_a_users_home_is_known_by_name_and_a_file_of_such_a_name_comes_first(home):
    assert given_path("~root/x") == Path("/root/x")
    (home.parent / "here" / "~$photo.jpg").touch()
    (home.parent / "here" / "~root").touch()
    assert given_path("~$photo.jpg") == Path("~$photo.jpg") and given_path("~root") == Path("~root")


@pytest.mark.parametrize("text", ["~nobody-of-this-name/x", "file:///data/x", "s3://bucket/x", "https://h/x", "a\0b"])
def test_what_cannot_be_a_path_is_refused_in_one_line(home, text):
    for path in (text, Path(text)):
        with pytest.raises(UserError, match="expected a path") as refused:
            given_path(path)
        assert "\n" not in str(refused.value) and refused.value.args[0].count(";") == 1


@pytest.mark.parametrize("value", ["", "here"])
def test_a_home_that_is_no_path_is_refused(home, monkeypatch, value):
    monkeypatch.setenv("HOME", value)
    with pytest.raises(UserError, match="HOME is not a folder's path; write the whole path"):
        given_path("~/x")


def test_a_user_without_a_home_is_refused(home, monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))  # as in a container
    with pytest.raises(UserError, match="HOME is not a folder's path"):
        given_path("~/x")


def test_configurations_take_a_tilde_in_every_field_that_holds_a_path(home):
    (home / "classes.txt").write_text("ball\n")
    values = {"classes": "~/classes.txt", "count": 1, "backbone": "~/sd15", "screen": {"clip": "ViT-B-32:~/clip.pt"}}
    config = BuildConfig.model_validate(values)
    assert config.classes == ("ball",) and config.backbone == str(home / "sd15")
    assert config.screen.clip == f"ViT-B-32:{home}/clip.pt"
    assert MaskConfig.model_validate({"prior": {"clip": "RN50:~/x.pt"}}).prior.clip == f"RN50:{home}/x.pt"
    assert EncoderConfig(segmenter="encoder", weights="~/dino.pth").weights == str(home / "dino.pth")
    assert PretrainConfig(start="~/weights").start == home / "weights"
    for name in ("ViT-B-32:openai", "none", "pocket"):
        assert MaskConfig.model_validate({"prior": {"clip": name}}).prior.clip == name


def test_names_that_are_no_utf8_pass(home):
    path = Path(os.fsdecode(b"photos/\xff.jpg"))
    assert given_path(path) == path
