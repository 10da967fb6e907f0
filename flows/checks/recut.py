"""What is checked before masks are solved again, and which stage that begins with. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.config.build import BuildConfig
from models.errors import UserError
from models.mappings import differences
from storage.dataset.reader import open_dataset

MAY_CHANGE = ("cut", "screen", "run")
FROM_KEPT = ("cut.tau", "cut.num_seeds", "sampling.top_k")  # A_c and r(p) depend on these: see models/cut/seeds.py


def check_recut(config: BuildConfig, out: Path) -> None:
    """UserError if the stored evidence cannot answer for the new values, or this machine; writes nothing."""
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
    return list(differences(*(each.model_dump(mode="json", by_alias=True) for each in (stored, config))))
