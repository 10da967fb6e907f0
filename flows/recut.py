"""Solve all masks of a dataset again from the stored evidence, as a new version. Needs no backbone.

If only the screening changes, the masks stay; if its CLIP does not change either, all scores stay too.
"""

from flows.base import flow
from flows.build import BuildRecord, finish, record_of
from flows.checks.build import load_screening
from flows.checks.recut import changes, check_recut, first_stage, new_seed_set
from flows.runners import cut_runner
from models.config.build import BuildConfig
from models.paths import GivenPath
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from tasks.cutting import cut_shard
from tasks.reporting import write_report


@flow(name="recut")
def recut(config: BuildConfig, out: GivenPath) -> BuildRecord:
    """Solve the masks again under `config`, as far as it requires, and screen them.

    `config` may differ from the stored one in cut, screen and top_k. The report shows the changes since the version
    before.
    """
    before = open_dataset(out).version
    version = solve.on(cut_runner(config.run))(config, out)
    return record_of(out, version, write_report(out, version, before if before != version else None))


@flow(name="solve")
def solve(config: BuildConfig, out: GivenPath) -> str:
    """Cut and screen again as the changes in `config` require, and publish; returns the version."""
    check_recut(config, out)
    load_screening(config.screen.clip)
    published = open_dataset(out)
    top_k = config.sampling.top_k if config.sampling.keep_pooled else None
    seed_set = new_seed_set(published, config)
    stage = first_stage(changes(BuildConfig.of_stored(published.config), config))
    with DatasetWriter.reopen(out) as writer:
        writer.recut(config.model_dump(mode="json", by_alias=True), config.identity(), stage)
        cuts = [cut_shard.submit(writer.fork(), shard, config.cut, top_k, seed_set) for shard in writer.pending("cut")]
        return finish(writer, cuts, config, "Publish masks solved again")
