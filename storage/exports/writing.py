"""The three steps of an export: check, write a block, finish. Knows no format by name."""

from collections import Counter
from functools import lru_cache
from importlib.metadata import version as installed_version
from pathlib import Path

from models.config.export import ExportConfig
from models.errors import UserError
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.repository import BUILD
from storage.exports import format_of
from storage.exports.card import write_card, write_config
from storage.exports.croissant import write_croissant
from storage.exports.folder import ExportFolder
from storage.exports.formats.base import Facts
from storage.exports.plan import Block, Plan, plan_export, snapshot_of
from storage.exports.tables import write_table
from storage.places import check_outside


def check_export(config: ExportConfig, path: Path, out: Path, overwrite: bool) -> Plan:
    """The plan of an export; UserError if it is not possible. Writes nothing."""
    if config.version == BUILD:
        raise UserError("version: expected a published version, got the build in progress; finish it first")
    dataset = open_dataset(path, config.version)
    folder = ExportFolder.at(out)
    check_outside(out, path)
    folder.check(overwrite)
    plan = plan_export(dataset, config, installed_version("maskmill"))
    format_of(plan.format).check(plan)
    return plan


def write_block(path: Path, out: Path, block: Block) -> None:
    """Write a block of the unfinished export, and record that it is done."""
    folder = ExportFolder.at(out)
    plan = folder.plan()
    facts = format_of(plan.format).write(folder.content, plan, block, _dataset(path, plan.version, plan.snapshot))
    folder.record(block, {"rows": facts.rows, "counts": dict(facts.counts)})


def finish_export(path: Path, out: Path, overwrite: bool) -> tuple[dict[str, int], dict[str, float]]:
    """Write the files about all samples, and move the export to its final path.

    Returns the format's counts, and what it measured.
    """
    folder = ExportFolder.at(out)
    plan = folder.plan()
    form, dataset = format_of(plan.format), _dataset(path, plan.version, plan.snapshot)
    facts = {split: Facts() for split in plan.splits}
    for block in plan.blocks(form.block):
        of_block = folder.facts(block)
        facts[block.split].rows += of_block["rows"]
        facts[block.split].counts.update(of_block["counts"])
    form.finish(folder.content, plan, facts)
    counts = sum((of_split.counts for of_split in facts.values()), Counter[str]())
    write_config(folder.content, plan)
    measured = form.measured(facts)
    table = write_table(folder.content, plan, dataset)
    write_card(folder.content, plan, form, counts, measured)
    write_croissant(folder.content, plan, form, table)
    folder.finish(plan.as_json() | {"counts": counts, "measured": measured}, overwrite)
    return dict(counts), measured


@lru_cache(maxsize=1)
def _dataset(path: Path, version: str, snapshot: str) -> Dataset:
    """Opened once per process for all blocks; UserError if it is no longer the planned dataset."""
    dataset = open_dataset(path, version)
    if snapshot_of(dataset) != snapshot:
        raise UserError(f"{path}: is not the dataset that the export began with; run the same command again")
    return dataset
