"""Solve all masks of a dataset again from the stored evidence, as a new version. Needs no backbone."""

from pathlib import Path

from prefect import flow

from analysis.statistics import summarise
from flows.build import BuildRecord, record_of
from flows.runners import cut_runner
from models.config import BuildConfig
from storage.dataset import open_dataset
from storage.writer import DatasetWriter
from tasks.cutting import cut_shard
from tasks.reporting import write_report
from tasks.screening import screen_shard

FROM_POOLED = ("tau", "num_seeds")  # what r(p) was drawn with: only the pooled A_s can answer for other values


@flow(name="recut")
def recut(config: BuildConfig, out: Path) -> BuildRecord:
    """Solve every mask under `config` (the stored one but for cut and screen), screen, and publish."""
    solve.with_options(task_runner=cut_runner(config.run))(config, out)
    version = open_dataset(out).version
    return record_of(out, version, write_report(out, version))


@flow(name="solve")
def solve(config: BuildConfig, out: Path) -> None:
    """Cut and screen all shards anew."""
    check_recut(config, out)
    with DatasetWriter.reopen(out) as writer:
        writer.recut(config.model_dump(mode="json", by_alias=True), config.identity())
        cuts = [cut_shard.submit(writer.fork(), shard, config) for shard in writer.pending("cut")]
        for cut in cuts:
            writer.commit(cut.result(), "Cut a shard")
        for shard in writer.pending("screen"):
            writer.commit(screen_shard(writer.fork(), shard, config), f"Screen shard {shard}")
        writer.publish("Publish masks solved again", summarise(open_dataset(out, "build").frame()))


def check_recut(config: BuildConfig, out: Path) -> None:
    """ValueError where the stored evidence cannot answer for the new values; writes nothing."""
    stored = BuildConfig.model_validate(open_dataset(out).config)
    if stored.sampling.keep_pooled:
        return
    changed = [f"cut.{name}" for name in FROM_POOLED if getattr(stored.cut, name) != getattr(config.cut, name)]
    changed += ["sampling.top_k"] if stored.sampling.top_k != config.sampling.top_k else []
    if changed:
        raise ValueError(
            f"{', '.join(changed)}: cannot change without the pooled self-attention, and {out} was built without it; "
            "build with --set sampling.keep_pooled=true, or leave this value"
        )
