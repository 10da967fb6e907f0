"""The table of samples beside the data in every format, as Parquet and as CSV. Knows no format.

It lies in a folder of its own: readers that find a format by its files take a CSV file beside COCO's annotations, for
example, for the data.
"""

import csv
from pathlib import Path

import pandas as pd

from storage.dataset.reader import Dataset
from storage.exports.boxes import boxes_of
from storage.exports.plan import Plan

FOLDER = "tables"
PARQUET, CSV = f"{FOLDER}/samples.parquet", f"{FOLDER}/samples.csv"
BOX = ["x0", "y0", "x1", "y1"]  # of all pixels of the mask, ends exclusive


def write_table(folder: Path, plan: Plan, dataset: Dataset) -> pd.DataFrame:
    """Write one row per sample, split by split: index, split, label, and the dataset's table; returns the rows.

    CSV has no types: pandas, for one, reads a class called null as missing and one called 1 as a number. Parquet
    keeps them, and in CSV the label still tells which class it is.
    """
    rows = [index for indices in plan.splits.values() for index in indices]
    frame = dataset.frame().loc[rows].drop(columns=["status", "reason"])
    frame.insert(0, "split", [name for name, indices in plan.splits.items() for _ in indices])
    frame.insert(1, "label", [plan.label(name) for name in frame["category"]])
    boxes = pd.DataFrame(boxes_of(dataset, rows), index=frame.index, columns=BOX)
    frame = frame.drop(columns="box").join(boxes).reset_index()
    (folder / FOLDER).mkdir(exist_ok=True)
    frame.to_parquet(folder / PARQUET, index=False)
    frame.to_csv(folder / CSV, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8", index=False)
    return frame
