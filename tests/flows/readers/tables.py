"""Readers of tables and archives: datasets, webdataset, mlcroissant, zarr; and Pillow for label maps.

Run by load.py in the readers' environment; each returns its rows and facts.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

Found = tuple[list[dict[str, Any]], dict[str, Any]]


def datasets_parquet(folder: Path) -> Found:
    from datasets import load_dataset

    rows = []
    for split in load_dataset(str(folder)).values():
        names = split.features["label"].names
        rows += [
            {"index": row["index"], "category": names[row["label"]], "mask": np.asarray(row["mask"]) > 0}
            for row in split
        ]
    return rows, {}


def datasets_imagefolder(folder: Path) -> Found:
    """Pairs, by the folder's metadata.csv; without one, every image and every mask is a row."""
    from datasets import load_dataset

    rows, columns = [], set()
    for split in load_dataset(str(folder)).values():
        columns |= set(split.column_names)
        for row in split:
            mask = row.get("mask")
            masks = {} if mask is None else {"mask": np.asarray(mask.convert("L")) > 0}
            named = {"category": row["category"]} if "category" in row else {}
            rows.append({"index": row.get("index", -1 - len(rows)), "label": row.get("label")} | named | masks)
    return rows, {"columns": sorted(columns)}


def webdataset(folder: Path) -> Found:
    import webdataset as wds

    rows = []
    for sample in wds.WebDataset(sorted(map(str, folder.glob("*.tar"))), shardshuffle=False).decode("pil"):
        mask = np.asarray(sample["mask.png"])[..., 0] > 0
        rows.append({"index": int(sample["__key__"]), "category": sample["json"]["category"], "mask": mask})
    return rows, {}


def zarr(folder: Path) -> Found:
    import zarr as library

    rows = []
    root = library.open_group(folder / "data.zarr", mode="r")
    for _, group in root.groups():
        arrays = [group[name][:] for name in ("index", "category", "box", "mask")]
        for index, category, box, mask in zip(*arrays, strict=True):
            rows.append({"index": int(index), "category": str(category), "box": box.tolist(), "mask": mask})
    return rows, {}


def mlcroissant(folder: Path) -> Found:
    """The records of the samples; facts: the record sets."""
    import mlcroissant as library

    described = library.Dataset(jsonld=str(folder / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    rows = []
    for record in described.records("samples"):
        values = {name.split("/")[-1]: value for name, value in record.items()}
        category = values["category"]
        text = category.decode() if isinstance(category, bytes) else str(category)
        rows.append({"index": int(values["index"]), "category": text})
    return rows, {"records": sorted(record_set.uuid for record_set in described.metadata.record_sets)}


def pillow_semantic(folder: Path) -> Found:
    """What segmentation trainers do: a list of pairs, label maps as they are, names by line."""
    from PIL import Image

    names = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    rows = []
    for split in json.loads((folder / "maskmill.json").read_text())["splits"]:
        for line in (folder / f"{split}.txt").read_text().splitlines():
            image, mask = (Image.open(folder / path) for path in line.split())
            assert image.size == mask.size and image.mode == "RGB" and mask.mode in ("L", "P")
            labels = np.asarray(mask)
            found = set(np.unique(labels).tolist()) - {0}
            named = {"category": names[found.pop()]} if len(found) == 1 else {}
            rows.append({"index": int(Path(mask.filename).stem), "mask": labels > 0} | named)
    return rows, {"names": names}
