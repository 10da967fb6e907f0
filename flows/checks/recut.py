"""Checks before masks are solved again, and the stage to start from. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.config.build import BuildConfig
from models.errors import UserError
from models.mappings import differences
from storage.dataset.reader import open_dataset
from storage.lock import check_lockable

MAY_CHANGE = ("cut", "tuned", "screen", "run")
FROM_KEPT = ("cut.tau", "cut.num_seeds", "sampling.top_k")  # A_c and r(p) depend on these: see models/cut/seeds.py


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
    if changed and not stored.sampling.keep_pooled:
        raise UserError(
            f"{', '.join(changed)}: cannot change without the attention at the seed cells, which {out} does not have; "
            "build with --set sampling.keep_pooled=true, or keep the value"
        )
    check_lockable(out)
    check_machine(config.run, config.screen.clip)


def first_stage(changed: list[str]) -> str | None:
    """The first stage to repeat if these fields change; None if the stored scores only need new verdicts."""
    if any(name.split(".")[0] in ("cut", "sampling") for name in changed):
        return "cut"
    return "screen" if "screen.clip" in changed else None


def changes(stored: BuildConfig, config: BuildConfig) -> list[str]:
    """Dotted names of the fields in which two configs differ."""
    return list(differences(*(values.model_dump(mode="json", by_alias=True) for values in (stored, config))))
