"""Publish a version of a dataset with masks that people mended in another tool. Needs no backbone."""

from flows.base import flow
from flows.build import BuildRecord, finish, record_of
from flows.checks.build import load_screening
from models.config.build import BuildConfig
from models.paths import GivenPath
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from storage.mending.plan import Source
from tasks.cutting import mend_masks
from tasks.reporting import write_report


@flow(name="mend")
def mend(out: GivenPath, source: Source) -> BuildRecord:
    """Replace the masks of the dataset at `out` that the source changes, and screen those samples again.

    All changes are one commit, so that a killed run has either written none of them, or resumes with their screening.
    """
    before = open_dataset(out)
    config = BuildConfig.of_stored(before.config)
    load_screening(config.screen.clip)
    with DatasetWriter.reopen(out) as writer:
        writer.commit(mend_masks(writer.fork(), out, source), f"Mend masks by {source.path.name}")
        version = finish(writer, [], config, "Publish mended masks")
    return record_of(out, version, write_report(out, version, before.version if before.version != version else None))
