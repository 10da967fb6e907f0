"""A dataset whose files are damaged or missing: whatever is read is whole, or refused in one line that says so."""

import shutil
from pathlib import Path

import pytest

from models.errors import UserError
from storage.dataset.reader import open_dataset
from storage.dataset.shards import read_columns, read_shard
from storage.dataset.writer import DatasetWriter
from tests.storage.dataset.fake_build import finish, open_writer


def read_all(path: Path) -> None:
    """Everything that a dataset's readers read."""
    dataset = open_dataset(path)
    dataset.frame()
    dataset.prompt_store("prompts")
    for index in range(len(dataset)):
        _ = dataset[index]
    with DatasetWriter.reopen(path) as writer:
        names = ["image", "mask", "status", "prompt"]
        read_columns(writer.fork(), names)
        read_shard(writer.fork(), 0, names)


@pytest.mark.parametrize("how", ["cut", "changed", "removed"])
def test_damage_is_said_or_harmless(tmp_path: Path, how: str) -> None:
    whole, copy = tmp_path / "whole", tmp_path / "copy"
    with open_writer(whole, 10) as writer:
        finish(writer)
    read_all(whole)
    refused = []
    for folder in ("chunks", "manifests", "snapshots", "refs"):
        for file in sorted(file for file in (whole / "repo" / folder).rglob("*") if file.is_file())[::3]:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            damage(copy / file.relative_to(whole), how)
            try:
                read_all(copy)
            except UserError as error:
                refused.append(str(error))
    assert len(refused) >= 3 and all(error.startswith((f"{copy}: ", "shard 0: ", "image, ")) for error in refused)


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "removed":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
