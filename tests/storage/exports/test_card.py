"""What lies beside the data: a card that holds any text, and a config that builds the same again."""

import json
import shlex
from importlib.metadata import version

import pytest
import yaml

from models.config.build import BuildConfig
from models.config.export import ExportConfig
from models.config.overrides import resolve
from storage.text import escape, printable
from tests.storage.exports.conftest import CLASSES, export, write_dataset


@pytest.fixture(scope="module")
def out(dataset, tmp_path_factory):
    return export(dataset, tmp_path_factory.mktemp("card") / "out", "folders")


def test_the_config_builds_the_same_again(tmp_path):
    """Through YAML and the command line's own reader, for names that YAML gives a meaning."""
    names = ["null", "yes", "- a: b", "{x}", "'\"", "é🌟 #", "1e3", "2020-01-01", "<b>", "..", "%", "a|b", "~"]
    given = {"backbone": "pocket", "classes": names, "count": 10, "templates": ["a {category}: 'x' #"]}
    config = BuildConfig.model_validate(given | {"cut": {"lambda": 0.1 + 0.2}, "screen": {"min_clip": 1e-7}})
    dataset = write_dataset(tmp_path / "data", 10, config.model_dump(mode="json", by_alias=True))
    built = resolve(BuildConfig, export(dataset, tmp_path / "out", "coco", split="1") / "config.yaml", {}, [])
    assert built == config and built.identity() == config.identity()


def test_the_card_shows_names_as_text(dataset, out):
    _, head, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(head)["pretty_name"] == dataset.path.name
    assert "<b>" not in body and "](" not in body and "<i>" not in body
    rows = [line for line in body.split("## Classes")[1].splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(CLASSES) and all(row.count("|") == 3 for row in rows)
    assert "maskmill build --config config.yaml" in body and version("maskmill") in body and "| train | 14 |" in body


@pytest.mark.parametrize(
    "given, head",
    [
        (None, {}),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        (
            "https://a.org/terms",
            {"license": "other", "license_name": "https://a.org/terms", "license_link": "https://a.org/terms"},
        ),
        ("ours: <b>ask</b>\n first", {"license": "other", "license_name": "ours: <b>ask</b> first"}),
    ],
)
def test_the_card_names_a_licence_where_one_is_given(dataset, tmp_path, given, head):
    out = export(dataset, tmp_path / "out", "semantic", license=given)
    _, told, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert {key: value for key, value in yaml.safe_load(told).items() if key.startswith("license")} == head
    assert ("Licence: " in body) == bool(given) and "<b>" not in body.replace("'ours: <b>ask</b> first'", "")
    (command,) = [line for line in body.splitlines() if line.startswith("maskmill export")]
    words = shlex.split(command)
    assert words[words.index("--license") + 1] == " ".join(given.split()) if given else "--license" not in words
    assert json.loads((out / "croissant.json").read_text()).get("license") == (given and " ".join(given.split()))


@pytest.mark.parametrize("given", ["", " \n", "\x1b[31m", "x" * 501])
def test_a_licence_is_a_line_of_text(given):
    with pytest.raises(ValueError, match="license"):
        ExportConfig(format="coco", license=given)


def test_text_is_made_harmless():
    assert escape("a|b <i>\n# x") == "a&#124;b &lt;i&gt; # x"
    assert printable("a\x00\x1b\n b\ud800 é🌟") == "a\ufffd\ufffd b\ufffd é🌟"


@pytest.mark.parametrize(
    "cut, said",
    [
        ({"thresholds": "adaptive"}, "come from each image's attention (`cut.thresholds: adaptive`"),
        ({"tau": 0.3}, "the same for every image (tau 0.3, alpha 2.5)"),
        (None, "the same for every image (tau 0.7, alpha 2.5)"),
    ],
    ids=str,
)
def test_the_card_says_which_thresholds_cut_the_masks(tmp_path, cut, said):
    """The last as a version stored it that had no choice of thresholds."""
    given = {"classes": ["ball"], "count": 10}
    stored = BuildConfig.model_validate(given | ({"cut": cut} if cut else {})).model_dump(mode="json", by_alias=True)
    if not cut:
        del stored["cut"]["thresholds"]
    out = export(write_dataset(tmp_path / "data", 10, stored), tmp_path / "out", "folders", split="1")
    assert said in (out / "README.md").read_text(encoding="utf-8")
