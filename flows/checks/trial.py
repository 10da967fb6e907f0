"""Whether a build begins with a trial, and what its stop says. Importing it imports no torch."""

import shlex
from pathlib import Path

from models.config.build import BuildConfig
from models.errors import TrialStopped
from models.screening.trial import Trial
from storage.dataset.reader import open_dataset
from storage.dataset.repository import is_dataset


def trial_of(config: BuildConfig, out: Path) -> BuildConfig | None:
    """The config of the trial that a build begins with, which has its first samples alone; None if there is none.

    A build that has planned more samples than a trial has is past it, also one begun by older code. The trial that
    stopped a build is judged whole, also if `trial.samples` is smaller now.
    """
    begun, longest, is_tuned = 0, config.trial.samples, config.tuned
    if is_dataset(out):
        dataset = open_dataset(out, "build")
        stored, begun = BuildConfig.of_stored(dataset.config), len(dataset)
        longest, is_tuned = max(longest, stored.trial.samples), is_tuned or stored.tuned
    size = max(config.trial.samples, begun)
    if not config.trial.samples or is_tuned or begun > longest or size >= config.count:
        return None
    trial = config.trial.model_copy(update={"samples": size})
    return config.model_copy(update={"count": size, "trial": trial})


def stop_of(out: Path, trial: Trial) -> TrialStopped:
    """The error of a build that its trial stopped."""
    remedy = f"run `maskmill tune {shlex.quote(str(out))}`"
    if trial.cut_fits:
        remedy = "build into another folder with --set run.dtype=float32"
    return TrialStopped(
        f"trial: {trial}; the build stopped before the rest: look at {out / 'report' / 'index.html'}, {remedy}, or "
        "continue with --no-trial"
    )


def describe_trial(config: BuildConfig, out: Path) -> list[str]:
    """The line of a dry run on the trial; none if there is none."""
    first = trial_of(config, out)
    if first is None:
        return []
    trial = first.trial
    return [
        f"trial       the first {trial.samples} samples, {100 * trial.samples / config.count:.2g} % of the build; it "
        f"stops after them if more than {100 * trial.max_share:g} % of their masks cover less than "
        f"{100 * trial.min_area:g} % or more than {100 * trial.max_area:g} % of the picture"
    ]
