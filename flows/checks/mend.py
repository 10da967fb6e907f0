"""Checks before masks are mended. Importing it imports no torch."""

from pathlib import Path

from flows.checks.build import check_machine
from models.config.build import BuildConfig
from storage.dataset.reader import open_dataset
from storage.mending.plan import Mends, Source, plan_mends


def check_mend(out: Path, source: Source) -> Mends:
    """What the source changes in the dataset; UserError if it does not fit, or this machine cannot screen."""
    mends = plan_mends(out, source)
    config = BuildConfig.of_stored(open_dataset(out).config)
    check_machine(config.run, config.screen.clip)
    return mends
