"""Solve all masks of a dataset again from the stored evidence, as a new version. Needs no backbone.

Where screening alone changes the masks stay, and where its CLIP does not change either so do all scores.
"""

from pathlib import Path

from prefect import flow

from flows.build import BuildRecord, finish, record_of
from flows.checks.build import load_screening
from flows.checks.recut import changes, check_recut, first_stage
from flows.runners import cut_runner
from models.config.build import BuildConfig
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from tasks.cutting import cut_shard
from tasks.reporting import write_report


@flow(name="recut")
def recut(config: BuildConfig, out: Path) -> BuildRecord:
    """Solve masks under `config` (the stored one but for cut, screen and top_k), as far as it differs, and screen.

    The report says what changed since the version before.
    """
    before = open_dataset(out).version
    version = solve.with_options(task_runner=cut_runner(config.run))(config, out)
    return record_of(out, version, write_report(out, version, before if before != version else None))


@flow(name="solve")
def solve(config: BuildConfig, out: Path) -> str:
    """Cut and screen anew what `config` changes, and publish; returns the version."""
    check_recut(config, out)
    load_screening(config)
    redraw = config.sampling.keep_pooled
    stage = first_stage(changes(BuildConfig.of_stored(open_dataset(out).config), config))
    with DatasetWriter.reopen(out) as writer:
        writer.recut(config.model_dump(mode="json", by_alias=True), config.identity(), stage)
        cuts = [cut_shard.submit(writer.fork(), shard, config, redraw) for shard in writer.pending("cut")]
        return finish(writer, cuts, config, "Publish masks solved again")
