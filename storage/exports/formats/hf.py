"""Hugging Face `datasets`: Parquet files that `load_dataset` reads, with images and masks as Image features."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, made, name_of, png, samples_of
from storage.exports.plan import Block, Plan

PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})  # as the library stores an Image
COLUMNS: dict[str, tuple[pa.DataType, dict[str, Any]]] = {
    "image": (PICTURE, {"_type": "Image"}),
    "mask": (PICTURE, {"_type": "Image"}),
    "label": (pa.int64(), {"_type": "ClassLabel"}),
    "category": (pa.string(), {"_type": "Value", "dtype": "string"}),
    "prompt": (pa.string(), {"_type": "Value", "dtype": "string"}),
    "index": (pa.int64(), {"_type": "Value", "dtype": "int64"}),
    "seed": (pa.int64(), {"_type": "Value", "dtype": "int64"}),
}


class HuggingFaceFormat(Format):
    """data/SPLIT-00000-of-00004.parquet; README.md names the splits' files, the schema the features."""

    title = "Hugging Face datasets"
    loading = 'from datasets import load_dataset\n\ndataset = load_dataset(".", split="SPLIT")'
    losses = "Images and masks are exact. Scores are in the table only."
    files = (Files("data", "application/x-parquet", "data/*.parquet", columns=("image", "mask")),)
    block = 256
    hub = "data/SPLIT-*.parquet"

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        (data,) = made(folder / "data")
        rows = [_row(sample, plan) for sample in samples_of(dataset, block)]
        table = pa.Table.from_pylist(rows, schema=_schema(plan))
        pq.write_table(table, data / f"{block.name}.parquet", row_group_size=64)
        return Facts()


def _schema(plan: Plan) -> pa.Schema:
    """The columns, and the library's description of them, which it reads from the file's metadata."""
    features = {name: dict(feature) for name, (_, feature) in COLUMNS.items()}
    features["label"]["names"] = list(plan.classes)
    described = json.dumps({"info": {"features": features}})
    return pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()], metadata={"huggingface": described})


def _row(sample: Sample, plan: Plan) -> dict[str, Any]:
    name = name_of(sample.index)
    return {
        "image": {"bytes": png(sample.image), "path": f"{name}.png"},
        "mask": {"bytes": png(sample.mask), "path": f"{name}.mask.png"},
        "label": plan.label(sample.category),
        "category": sample.category,
        "prompt": sample.prompt,
        "index": sample.index,
        "seed": sample.seed,
    }
