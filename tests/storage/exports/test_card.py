"""What lies beside the data: a card and metadata that hold any text, and a config that builds the same again."""

import json
from importlib.metadata import version

import mlcroissant
import pandas as pd
import pytest
import yaml

from models.config.build import BuildConfig
from models.config.export import FORMATS
from models.config.overrides import resolve
from models.cut.masks import box
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


def test_the_table_holds_every_sample(dataset, out):
    table = pd.read_csv(out / "samples.csv", index_col="index", dtype={"seed": "int64"}, keep_default_na=False)
    kept = dataset.frame().loc[dataset.kept()]
    assert table["split"].value_counts().to_dict() == {"train": 14, "val": 4, "test": 2}
    assert sorted(table.index) == kept.index.tolist()
    for column in ("category", "prompt", "seed"):
        assert table[column].sort_index().tolist() == kept[column].tolist()
    for index, *corners in table[["x0", "y0", "x1", "y1"]].itertuples():  # not the older column's: see boxes.py
        assert tuple(corners) == box(dataset[index].mask) and dataset[index].box == (1, 2, 3, 4)


def test_the_card_shows_names_as_text(dataset, out):
    _, head, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(head)["pretty_name"] == dataset.path.name
    assert "<b>" not in body and "](" not in body and "<i>" not in body
    rows = [line for line in body.split("## Classes")[1].splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(CLASSES) and all(row.count("|") == 3 for row in rows)
    assert "maskmill build --config config.yaml" in body and version("maskmill") in body and "| train | 14 |" in body


@pytest.mark.parametrize("form", FORMATS)
def test_croissant_is_valid_and_reads_the_table(dataset, tmp_path, form):
    out = export(dataset, tmp_path / "out", form)
    described = mlcroissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    assert (
        "config.yaml" in described.metadata.description
        and f"maskmill {version('maskmill')}" in described.metadata.description
    )
    rows = list(described.records("samples"))
    assert sorted(row["samples/index"] for row in rows) == dataset.kept().tolist()
    assert {row["samples/category"].decode() for row in rows} <= set(CLASSES)
    for each in json.loads((out / "croissant.json").read_text())["distribution"]:
        assert list(out.glob(each.get("includes", each.get("contentUrl"))))


def test_text_is_made_harmless():
    assert escape("a|b <i>\n# x") == "a&#124;b &lt;i&gt; # x"
    assert printable("a\x00\x1b\n b\ud800 é🌟") == "a\ufffd\ufffd b\ufffd é🌟"
