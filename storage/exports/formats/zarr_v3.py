"""Plain Zarr v3: a version's arrays of the exported samples, in a folder that zarr opens without Icechunk."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from storage.dataset.reader import Dataset
from storage.dataset.schema import ArraySpec, chunk_rows
from storage.dataset.shards import array_of
from storage.exports.boxes import boxes_of
from storage.exports.formats.base import Facts, Files, Format
from storage.exports.plan import Block, Plan

LEFT_OUT = ("status", "reason")  # every exported sample is kept


class ZarrFormat(Format):
    """data.zarr with a group per split, which holds the dataset's arrays, "index" and "label"."""

    title = "Plain Zarr v3"
    loading = (
        "import zarr\n\n"
        'group = zarr.open_group("data.zarr/SPLIT", mode="r")\n'
        'image, mask = group["image"][0], group["mask"][0]'
    )
    losses = "None: every array of the samples is kept, including the evidence that the masks are cut from."
    files = (Files("chunks", "application/octet-stream", "data.zarr/**"),)

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        root = zarr.open_group(folder / "data.zarr", mode="a")
        root.attrs.update({"config": plan.config, "version": plan.version, "classes": list(plan.classes)})
        group = root.require_group(block.split)
        rows, indices = self._rows(block), np.array(block.indices)
        labels = [plan.label(name) for name in dataset.frame()["category"].iloc[indices]]
        for name, values in (("index", indices), ("label", np.array(labels))):
            self._array(group, name, ArraySpec((), "i8"), plan, block)[rows] = values
        for name in sorted(set(dataset.group.array_keys()) - set(LEFT_OUT)):
            stored = array_of(dataset.group, name)
            spec = ArraySpec(stored.shape[1:], "str" if stored.dtype.kind == "T" else stored.dtype.name)
            arrays: Any = boxes_of(dataset, block.indices) if name == "box" else stored.oindex[indices]
            self._array(group, name, spec, plan, block)[rows] = arrays
        return Facts()

    def _rows(self, block: Block) -> slice:
        start = block.number * self.block
        return slice(start, start + len(block.indices))

    def _array(self, group: zarr.Group, name: str, spec: ArraySpec, plan: Plan, block: Block) -> zarr.Array:
        """The array of a split, one file per block; created by the first block that writes to it."""
        if name in group:
            return array_of(group, name)
        shape = (len(plan.splits[block.split]), *spec.shape)
        chunks, shards = ((rows, *spec.shape) for rows in (chunk_rows(name, spec, self.block), self.block))
        dtype = str if spec.is_text else spec.dtype
        return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, shards=shards)
