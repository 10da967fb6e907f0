"""The table of samples: every sample, in types that its readers keep, and where no reader of a format looks."""

import csv

import pandas as pd
import pytest

from models.config.export import FORMATS
from models.cut.masks import box
from tests.storage.exports.conftest import CLASSES, export, write_dataset


@pytest.fixture(scope="module")
def out(dataset, tmp_path_factory):
    return export(dataset, tmp_path_factory.mktemp("table") / "out", "folders")


READERS = {
    "Parquet": lambda out: pd.read_parquet(out / "tables/samples.parquet"),
    "CSV": lambda out: pd.read_csv(out / "tables/samples.csv", keep_default_na=False),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_table_holds_every_sample(dataset, out, reader):
    table = READERS[reader](out).set_index("index")
    kept = dataset.frame().loc[dataset.kept()]
    assert table["split"].value_counts().to_dict() == {"train": 14, "val": 4, "test": 2}
    assert sorted(table.index) == kept.index.tolist()
    assert [CLASSES[label] for label in table["label"]] == table["category"].tolist()
    for column in ("category", "prompt", "seed"):
        assert table[column].sort_index().tolist() == kept[column].tolist()
    for index, *corners in table[["x0", "y0", "x1", "y1"]].itertuples():  # not the older column's: see boxes.py
        assert tuple(corners) == box(dataset[index].mask) and dataset[index].box == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "names", [["null", "NA", "nan", "None", ""], ["true", "false"], ["1", "02", "1e3"], ["=1+1", " a"]]
)
def test_any_name_survives(tmp_path, names):
    """By Parquet and by Python's csv as it is; pandas' own way with CSV leaves the label."""
    dataset = write_dataset(tmp_path / "data", 20, {"classes": names})
    out = export(dataset, tmp_path / "out", "folders", split="1")
    wanted = [dataset[index].category for index in dataset.kept().tolist()]
    assert pd.read_parquet(out / "tables/samples.parquet")["category"].tolist() == wanted
    with (out / "tables/samples.csv").open(encoding="utf-8", newline="") as file:
        assert [row["category"] for row in csv.DictReader(file)] == wanted
    assert [names[label] for label in pd.read_csv(out / "tables/samples.csv")["label"]] == wanted


@pytest.mark.parametrize("form", FORMATS)
def test_no_table_lies_beside_a_formats_own_files(dataset, tmp_path, form):
    """datumaro takes a folder with a CSV file in it for a table, whatever else is there."""
    out = export(dataset, tmp_path / "out", form)
    assert not [path for path in out.iterdir() if path.suffix in (".csv", ".parquet", ".tsv", ".jsonl")]
    assert {path.name for path in (out / "tables").iterdir()} == {"samples.csv", "samples.parquet"}
