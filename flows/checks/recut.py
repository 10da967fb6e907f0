"""Checks before masks are solved again, and the stage to start from. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.config.build import BuildConfig
from models.config.cut import SeedSet
from models.errors import UserError
from models.mappings import differences
from storage.dataset.reader import Dataset, open_dataset
from storage.lock import check_lockable

MAY_CHANGE = ("cut", "tuned", "screen", "run")
FROM_SETS = ("cut.tau", "cut.thresholds")  # r(p) depends on these; it is stored for a few of their values
FROM_KEPT = (*FROM_SETS, "cut.num_seeds", "sampling.top_k")  # A_c and r(p) depend on these: see models/cut/seeds.py


def check_recut(config: BuildConfig, out: Path) -> None:
    """UserError if the stored evidence or this machine does not suffice for the new values; writes nothing."""
    published = open_dataset(out)
    if len(open_dataset(out, "build")) != len(published):
        raise UserError(f"{out}: a build was started after version {published.version}; finish it first")
    stored = BuildConfig.of_stored(published.config)
    changed = [name for name in changes(stored, config) if name.split(".")[0] not in MAY_CHANGE or name in FROM_KEPT]
    if other := [name for name in changed if name not in FROM_KEPT]:
        raise UserError(
            f"{', '.join(other)}: cannot change in a recut, which samples no images; keep the value, or build another "
            "dataset with it"
        )
    if not stored.sampling.keep_pooled:
        _check_sets(changed, published, config)
    check_lockable(out)
    check_machine(config.run, config.screen.clip)


def _check_sets(changed: list[str], published: Dataset, config: BuildConfig) -> None:
    """UserError if the stored r(p), of a few seed sets, does not suffice for the changed fields of FROM_KEPT."""
    seeds, sets = config.cut.seed_set, published.seed_sets
    is_stored = seeds in (seed_set_of(published), *sets)
    lacking = [name for name in changed if name not in FROM_SETS or not is_stored]
    if lacking and sets and set(lacking) <= set(FROM_SETS):
        raise UserError(
            f"cut.tau: expected one of {', '.join(map(str, sets))}, whose r(p) {published.path} stores, got {seeds}; "
            "take one of them, or build with --set sampling.keep_pooled=true"
        )
    if lacking:
        raise UserError(
            f"{', '.join(lacking)}: cannot change without the attention at the seed cells, which {published.path} does "
            "not have; build with --set sampling.keep_pooled=true, or keep the value"
        )


def seed_set_of(published: Dataset) -> SeedSet:
    """What chose the seeds of the r(p) in the array `refined`."""
    return BuildConfig.of_stored(published.config).cut.seed_set


def new_seed_set(published: Dataset, config: BuildConfig) -> int | None:
    """The position in `refined_sets` of a config's r(p), if it has other seeds; None if r(p) stays or is not stored."""
    seeds, sets = config.cut.seed_set, published.seed_sets
    return sets.index(seeds) if seeds in sets and seeds != seed_set_of(published) else None


def first_stage(changed: list[str]) -> str | None:
    """The first stage to repeat if these fields change; None if the stored scores only need new verdicts."""
    if any(name.split(".")[0] in ("cut", "sampling") for name in changed):
        return "cut"
    return "screen" if "screen.clip" in changed else None


def changes(stored: BuildConfig, config: BuildConfig) -> list[str]:
    """Dotted names of the fields in which two configs differ."""
    return list(differences(*(values.model_dump(mode="json", by_alias=True) for values in (stored, config))))
