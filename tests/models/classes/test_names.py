"""Class lists: the file's syntax, what stands for a list, and refusals that name the line."""

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.backbone.files import POCKET_FOLDER
from models.backbone.tokens import category_span, load_tokenizer
from models.classes.names import read_classes
from models.config.build import BuildConfig
from models.config.overrides import resolve
from models.prompts.grammar import Grammar

names = st.text("abcdefgh é", min_size=1, max_size=8).map(lambda t: " ".join(t.split())).filter(bool)
tables = st.lists(st.lists(names, min_size=1, max_size=3), min_size=1, max_size=5).filter(
    lambda rows: len({w for row in rows for w in row}) == sum(map(len, rows))
)


def build(classes: object, **more: object) -> BuildConfig:
    return resolve(BuildConfig, None, {"backbone": "a/b", "count": 1, "classes": classes} | more, [])


@given(tables, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["", "  # said why", "\t"]))
def test_a_file_is_read_back(tmp_path_factory, rows, end, bom, tail):
    file = tmp_path_factory.mktemp("classes") / "classes.txt"
    lines = ["# classes", "", *(f"{row[0]}: {', '.join(row[1:])}" if row[1:] else row[0] for row in rows)]
    file.write_bytes(("\ufeff" * bom + end.join(line + tail for line in lines)).encode())
    assert read_classes(file) == {row[0]: tuple(row) for row in rows}


def test_the_resolved_names_are_the_config(tmp_path):
    (tmp_path / "furniture.txt").write_text("sofa: couch, settee\nlamp\n")
    config = build(str(tmp_path / "furniture.txt"))
    assert config.classes == ("sofa", "lamp") and config.phrases == {"sofa": ("sofa", "couch", "settee")}
    (tmp_path / "furniture.txt").unlink()
    assert BuildConfig.model_validate(config.model_dump(mode="json", by_alias=True)) == config


def test_synonyms_vary_the_words_and_the_category_stays():
    config = build("sofa", phrases={"sofa": ["sofa", "couch", "settee"]})
    planned = [Grammar.of(config, None).plan(i) for i in range(60)]
    assert {p.category for p in planned} == {"sofa"} and {p.phrase for p in planned} == {"sofa", "couch", "settee"}
    assert all(p.phrase in p.prompt and ("an " + p.phrase) not in p.prompt for p in planned)
    tokenizer = load_tokenizer(POCKET_FOLDER)
    spans = [category_span(tokenizer, p.prompt, p.phrase) for p in planned[:9]]
    words = [tokenizer.decode(tokenizer(p.prompt).input_ids[s[0] : s[-1] + 1]) for p, s in zip(planned, spans)]  # noqa: B905
    assert [w.replace(" ", "") for w in words] == [p.phrase for p in planned[:9]]


BAD = {
    "a class twice": (b"cat\ndog\nCat\n", ["'cat'", "line 1", "line 3"]),
    "a synonym of two": (b"sofa: couch\nbed: couch\n", ["'couch'", "line 1", "line 2"]),
    "nothing": (b"# none\n\n", ["one class per line"]),
    "no text": (b"\xff\xfe\x00c", ["UTF-8"]),
    "commas for lines": (b"cat, dog\n", ["line 1", "name: synonym"]),
    "an empty synonym": (b"ball\ncat: , tom\n", ["line 2", "empty"]),
    "an invisible character": (b"ball\nca\xe2\x80\xaet\n", ["line 2", "printable"]),
    "a book": (b"x" * 200, ["line 1", "100"]),
}


@pytest.mark.parametrize("content, words", BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(ValueError) as refused:
        build(str(tmp_path / "classes.txt"))
    assert "\n" not in str(refused.value) and all(word in str(refused.value) for word in ["classes", *words])


@pytest.mark.parametrize(
    "classes, words",
    [
        ("nowhere.txt", ["nowhere.txt", "does not exist"]),
        ("./nowhere", ["nowhere", "does not exist"]),
        ("/etc/nowhere", ["nowhere", "does not exist", "[T-shirt/top]"]),
        ("lists\\nowhere", ["nowhere", "does not exist"]),
        ("/dev/zero", ["/dev/zero", "is not a file"]),
        (["cat", "imagenet-merged"], ["imagenet-merged", "alone"]),
        ("cat,more.txt", ["cat,more.txt", "does not exist"]),
        ("cat\0", ["printable"]),
    ],
)
def test_what_stands_for_no_list_is_refused(classes, words):
    with pytest.raises(ValueError) as refused:
        build(classes)
    assert all(word in str(refused.value) for word in ["classes", *words])


NAMES = ["T-shirt/top", "aerosol can/spray can", "/m/01g317", "a\\b", "salt, pepper", "C#", "a: b", "it's", '"q"', "7",
         "null", "no", "x=y", "étoile", "日本", "-", "~", "~/x", "a" * 100]  # fmt: skip


def read_again(config: BuildConfig, folder: Path) -> list[BuildConfig]:
    """The config as resume and extend, recut, --config of a JSON and of a YAML file read it."""
    stored = config.model_dump(mode="json", by_alias=True)
    (folder / "config.json").write_text(json.dumps(stored))
    (folder / "config.yaml").write_text(yaml.safe_dump(stored))
    files = [resolve(BuildConfig, folder / f"config.{end}", {}, []) for end in ("json", "yaml")]
    return [BuildConfig.of_stored(json.loads(json.dumps(stored))), resolve(BuildConfig, None, stored, []), *files]


@pytest.mark.parametrize("classes", [NAMES, *([name] for name in NAMES)], ids=repr)
def test_every_name_that_is_accepted_is_read_back(tmp_path, monkeypatch, classes):
    monkeypatch.chdir(tmp_path)
    config = build(classes, phrases={classes[0]: [classes[0], "thing"]})
    assert config.classes == tuple(classes) and all(again == config for again in read_again(config, tmp_path))
    assert Grammar.of(config, None).plan(0).category in classes


def test_a_name_that_is_also_a_path_stays_a_name_once_it_is_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "T-shirt" / "top").mkdir(parents=True)
    (tmp_path / "dog").mkdir()
    for classes in (["T-shirt/top"], ["dog"], ["T-shirt/top", "dog"]):
        assert build(classes).classes == tuple(classes)
    config = build(["a/b"])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("ball\n")
    assert build(["a/b"]).classes == build("a/b").classes == ("ball",)
    assert BuildConfig.of_stored(config.model_dump(mode="json", by_alias=True)).classes == ("a/b",)


def test_names_with_slashes_are_read_from_a_file_from_text_and_from_a_list(tmp_path):
    (tmp_path / "lvis.txt").write_text("aerosol can/spray can\ndog\nT-shirt/top: tee\n")
    of_file = build(str(tmp_path / "lvis.txt"))
    assert of_file.phrases_of("T-shirt/top") == ("T-shirt/top", "tee")
    given = build("aerosol can/spray can,dog, T-shirt/top", phrases={"T-shirt/top": ["T-shirt/top", "tee"]})
    assert given == of_file and all(again == of_file for again in read_again(of_file, tmp_path))
    assert build("T-shirt/top").classes == ("T-shirt/top",)


@pytest.mark.parametrize("name", ["readme.txt", "imagenet-merged", "Notes.TXT: note"])
def test_a_name_that_would_stand_for_a_list_is_refused_in_the_file(tmp_path, name):
    (tmp_path / "classes.txt").write_text(f"ball\n{name}\n")
    with pytest.raises(ValueError, match="line 2: .* would stand for a whole list"):
        build(str(tmp_path / "classes.txt"))


@pytest.mark.parametrize("value", [7, 1.5, True, None, {"a": "b"}])
def test_what_yaml_does_not_read_as_text_is_to_be_quoted(value):
    with pytest.raises(ValueError, match="classes: expected names, got .* in quotes"):
        build(["ball", value])


def test_names_that_differ_only_in_case_or_in_encoding_are_one(tmp_path):
    for pair in (["T-shirt/top", "t-shirt/TOP"], ["\u00e9toile", "e\u0301toile"]):
        with pytest.raises(ValueError, match="named more than once"):
            build(pair)
        (tmp_path / "classes.txt").write_text("\n".join(pair))
        with pytest.raises(ValueError, match="line 1 and line 2"):
            build(str(tmp_path / "classes.txt"))


@pytest.mark.parametrize("more", [{"phrases": [1]}, {"groups": "abc"}])
def test_what_is_no_mapping_is_refused_beside_a_file_too(tmp_path, more):
    (tmp_path / "CLASSES.TXT").write_text("ball\n")
    with pytest.raises(ValueError, match=f"{next(iter(more))}: expected a valid dictionary"):
        build(str(tmp_path / "CLASSES.TXT"), **more)


def test_many_classes_are_read_at_once(tmp_path):
    (tmp_path / "classes.txt").write_text("\n".join(f"{i:05x}" for i in range(30_000)))
    start = time.process_time()
    assert len(build(str(tmp_path / "classes.txt")).classes) == 30_000
    assert time.process_time() - start < 10  # comparing each with each takes far longer


def test_phrases_and_groups_belong_to_classes():
    for more, word in (
        ({"phrases": {"dog": ["hound"]}}, "'dog'"),
        ({"groups": {"cat": "furry"}}, "furry"),
        ({"phrases": {"cat": ["pet"], "dog": ["pet"]}, "classes": "cat,dog"}, "both cat and dog"),
    ):
        with pytest.raises(ValueError, match=word):
            build(more.pop("classes", "cat"), **more)
