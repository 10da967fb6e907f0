"""Folders of images and masks in the layout of DUTS, a pair of folders per split. All pixels are kept.

`maskmill.open_folder("folder", out / "train")` reads them, and so does any of its named layouts.
"""

import csv
import io
from pathlib import Path

import pandas as pd

from storage.dataset.reader import Dataset
from storage.exports.formats.base import Facts, Files, Format, count_all, made, name_of, png, samples_of
from storage.exports.plan import Block, Plan


class FolderFormat(Format):
    """SPLIT/images/000000.png, SPLIT/masks/000000.png, the mask 0 and 255, and SPLIT/metadata.csv."""

    title = "Folders of PNG images and masks, as DUTS"
    loading = (
        "import maskmill  # or any other reader of folders of images and masks\n\n"
        'photo, mask = maskmill.open_folder("folder", "SPLIT").pair(0)'
    )
    losses = "Images and masks are exact. Scores are in the table only."
    files = (
        Files("images", "image/png", "*/images/*.png", shows="image"),
        Files("masks", "image/png", "*/masks/*.png", shows="mask"),
    )
    hub = "SPLIT/**"

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        images, masks = made(folder / block.split / "images", folder / block.split / "masks")
        facts = Facts()
        for sample in samples_of(dataset, block):
            (images / f"{name_of(sample.index)}.png").write_bytes(png(sample.image))
            (masks / f"{name_of(sample.index)}.png").write_bytes(png(sample.mask))
            facts.rows.append([sample.index, plan.label(sample.category), sample.category, sample.prompt])
        return facts

    def finish(self, folder: Path, plan: Plan, facts: dict[str, Facts]) -> None:
        tables = {split: pd.DataFrame(of_split.rows, columns=_COLUMNS) for split, of_split in facts.items()}
        texts = [name for name in _TEXTS if all(_survives(table[name]) for table in tables.values())]
        left_out = len(_TEXTS) - len(texts)
        count_all(facts, "columns left out of metadata.csv, which pandas would misread", left_out)
        for split, table in tables.items():
            names = table["index"].map(name_of)
            paths = {"file_name": "images/" + names + ".png", "mask_file_name": "masks/" + names + ".png"}
            table = pd.DataFrame(paths).join(table[["index", "label", *texts]])
            (folder / split / "metadata.csv").write_text(_csv(table), encoding="utf-8")


_TEXTS = ("category", "prompt")
_COLUMNS = ["index", "label", *_TEXTS]


def _survives(texts: pd.Series) -> bool:
    """Whether pandas reads a column of text back as it is, which `datasets` uses; a class called null or 1 is not."""
    found = pd.read_csv(io.StringIO(_csv(texts.to_frame())))[texts.name]
    return bool(found.tolist() == texts.tolist())


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", index=False))
