"""Export a dataset version to another format: blocks of samples -> tables, card, metadata -> move to the final path."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel
from tqdm import tqdm

from models.config.export import ExportConfig
from storage.exports import format_of
from storage.exports.folder import ExportFolder
from storage.exports.writing import check_export
from tasks.exporting import export_block, finish_export


class ExportRecord(BaseModel):
    """The result of an export: samples by split, and the format's counts, such as masks that it does not keep exact.

    measured: how the format's readers see what was written, by what was measured.
    """

    path: Path
    version: str
    samples: dict[str, int]
    counts: dict[str, int]
    measured: dict[str, float] = {}


@flow(name="export")
def export(config: ExportConfig, dataset: Path, out: Path, overwrite: bool = False) -> ExportRecord:
    """Export the kept samples of a version to `out`; a killed export resumes after its last finished block."""
    plan = check_export(config, dataset, out, overwrite)
    folder = ExportFolder.at(out)
    with folder.begun(plan), tqdm(total=len(plan), desc="exporting", unit="sample") as bar:
        for block in plan.blocks(format_of(plan.format).block):
            if not folder.is_done(block):
                export_block(dataset, out, block)
            bar.update(len(block.indices))
        counts, measured = finish_export(dataset, out, overwrite)
    samples = {split: len(indices) for split, indices in plan.splits.items()}
    return ExportRecord(path=out, version=plan.version, samples=samples, counts=counts, measured=measured)
