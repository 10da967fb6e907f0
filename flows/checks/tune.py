"""Checks before a dataset's cut is tuned. Importing it imports no torch."""

from pathlib import Path

from flows.checks.recut import check_recut
from models.config.build import BuildConfig
from storage.dataset.reader import Dataset, open_dataset
from storage.dataset.trials import trial_rows

TUNED, PICTURE = "tuned.yaml", "tuned.webp"  # written into the dataset's folder


def check_tune(out: Path, samples: int) -> Dataset:
    """The published version to tune; UserError if it cannot be tuned or solved again. Writes nothing."""
    dataset = open_dataset(out)
    check_recut(BuildConfig.of_stored(dataset.config), out)
    trial_rows(dataset, samples)
    return dataset


def fixed_fields(dataset: Dataset) -> str:
    """A line on the fields that the stored evidence does not allow to change; '' if there is none."""
    config = BuildConfig.of_stored(dataset.config)
    if config.sampling.keep_pooled:
        return ""
    if dataset.seed_sets:
        return f"sampling.top_k stays {config.sampling.top_k}: another k needs sampling.keep_pooled=true"
    return (
        f"cut.tau and cut.thresholds stay {config.cut.tau:g} and {config.cut.thresholds}, and sampling.top_k "
        f"{config.sampling.top_k}: this dataset, built by an older version, stores no r(p) of other seeds"
    )
