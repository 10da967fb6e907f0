"""Checks before masks are solved again, and the stage to start from. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.config.build import BuildConfig
from models.errors import UserError
from models.mappings import differences
from storage.dataset.reader import Dataset, open_dataset
from storage.lock import check_lockable

MAY_CHANGE = ("cut", "tuned", "screen", "run")
FROM_SETS = ("cut.tau",)  # r(p) depends on it, which is stored for a few of its values
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
        changed = _without_sets(changed, published, config)
    if changed and not stored.sampling.keep_pooled:
        raise UserError(
            f"{', '.join(changed)}: cannot change without the attention at the seed cells, which {out} does not have; "
            "build with --set sampling.keep_pooled=true, or keep the value"
        )
    check_lockable(out)
    check_machine(config.run, config.screen.clip)


def _without_sets(changed: list[str], published: Dataset, config: BuildConfig) -> list[str]:
    """The fields that the stored r(p) do not allow to change; UserError for a tau that none is stored of."""
    if not published.seed_sets:
        return changed
    if new_seed_set(published, config) is None and set(changed) & set(FROM_SETS):
        raise UserError(
            f"cut.tau: expected one of {', '.join(map(str, published.seed_sets))}, whose r(p) {published.path} stores, got "
            f"{config.cut.tau}; take one of them, or build with --set sampling.keep_pooled=true"
        )
    return [name for name in changed if name not in FROM_SETS]


def new_seed_set(published: Dataset, config: BuildConfig) -> int | None:
    """The position in `refined_sets` of r(p) for a config with other seeds; None if r(p) stays or is not stored."""
    if config.cut.seed_set == BuildConfig.of_stored(published.config).cut.seed_set:
        return None
    sets = published.seed_sets
    return sets.index(config.cut.seed_set) if config.cut.seed_set in sets else None


def first_stage(changed: list[str]) -> str | None:
    """The first stage to repeat if these fields change; None if the stored scores only need new verdicts."""
    if any(name.split(".")[0] in ("cut", "sampling") for name in changed):
        return "cut"
    return "screen" if "screen.clip" in changed else None


def changes(stored: BuildConfig, config: BuildConfig) -> list[str]:
    """Dotted names of the fields in which two configs differ."""
    return list(differences(*(values.model_dump(mode="json", by_alias=True) for values in (stored, config))))
