"""Solve all masks of a dataset again from the stored evidence, as a new version. Needs no backbone.

Where screening alone changes the masks stay, and where its CLIP does not change either so do all scores.
"""

from pathlib import Path

from prefect import flow

from flows.build import BuildRecord, finish, record_of
from flows.checks.build import check_machine, load_screening
from flows.runners import cut_runner
from models.config.build import BuildConfig
from models.errors import UserError
from storage.dataset.reader import open_dataset
from storage.dataset.writer import DatasetWriter
from tasks.cutting import cut_shard
from tasks.reporting import write_report

MAY_CHANGE = ("cut", "screen", "run")
FROM_KEPT = ("cut.tau", "cut.num_seeds", "sampling.top_k")  # A_c and r(p) depend on these: see models/cut/seeds.py


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
    load_screening(config.screen.clip)
    top_k = config.sampling.top_k if config.sampling.keep_pooled else None
    stage = first_stage(changes(BuildConfig.of_stored(open_dataset(out).config), config))
    with DatasetWriter.reopen(out) as writer:
        writer.recut(config.model_dump(mode="json", by_alias=True), config.identity(), stage)
        cuts = [cut_shard.submit(writer.fork(), shard, config.cut, top_k) for shard in writer.pending("cut")]
        return finish(writer, cuts, config, "Publish masks solved again")


def check_recut(config: BuildConfig, out: Path) -> None:
    """UserError where the stored evidence cannot answer for the new values, or this machine; writes nothing."""
    published = open_dataset(out)
    if len(open_dataset(out, "build")) != len(published):
        raise UserError(f"{out}: a build is under way since version {published.version}; finish it first")
    stored = BuildConfig.of_stored(published.config)
    changed = [name for name in changes(stored, config) if name.split(".")[0] not in MAY_CHANGE or name in FROM_KEPT]
    if other := [name for name in changed if name not in FROM_KEPT]:
        raise UserError(
            f"{', '.join(other)}: cannot change in a recut, which draws no images; leave the value, or build another "
            "dataset with it"
        )
    if changed and not stored.sampling.keep_pooled:
        raise UserError(
            f"{', '.join(changed)}: cannot change without the attention at the seed cells, and {out} was built without "
            "keeping it; build with --set sampling.keep_pooled=true, or leave the value"
        )
    check_machine(config.run, config.screen.clip)


def first_stage(changed: list[str]) -> str | None:
    """The stage that has to be done again when these fields change; None where stored scores need judging alone."""
    if any(name.split(".")[0] in ("cut", "sampling") for name in changed):
        return "cut"
    return "screen" if "screen.clip" in changed else None


def changes(stored: BuildConfig, config: BuildConfig) -> list[str]:
    """Dotted names of the fields in which two configs differ."""
    before, after = (c.model_dump(mode="json", by_alias=True) for c in (stored, config))
    names = []
    for name, value in before.items():
        if isinstance(value, dict):
            names += [f"{name}.{field}" for field in value if value[field] != after[name][field]]
        elif value != after[name]:
            names.append(name)
    return names
