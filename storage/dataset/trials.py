"""A dataset's samples as the trials of tuning: images with all of their evidence that is stored.

Knows nothing of scores or of the search.
"""

import numpy as np
from numpy.typing import NDArray

from models.config.build import BuildConfig
from models.errors import UserError
from models.tuning import trials
from models.tuning.trials import Setting, Trial
from storage.dataset import schema
from storage.dataset.reader import Dataset

KS = (3, 5, 8)  # k that are tried beside the stored one, where the layers' maps are stored


def setting_of(dataset: Dataset) -> Setting:
    """The setting that the dataset's masks were solved under."""
    config = BuildConfig.of_stored(dataset.config)
    return Setting(config.cut, config.sampling.top_k)


def trial_rows(dataset: Dataset, count: int) -> NDArray[np.intp]:
    """At most `count` of the samples that have a mask, evenly spread, ascending; UserError if none has."""
    if count < 1:
        raise UserError(f"--samples: expected 1 or more samples to judge settings by, got {count}")
    status = dataset.read("status")
    rows = np.flatnonzero(np.isin(status, (schema.CUT, schema.KEPT, schema.REJECTED)))
    if not rows.size:
        failed = int((status == schema.FAILED).sum())
        raise UserError(f"{dataset.path}: no sample has a mask, {failed} of {len(status)} failed; build it again")
    return rows[np.linspace(0, rows.size - 1, min(count, rows.size)).round().astype(np.intp)]


def trial_of(dataset: Dataset, row: int) -> Trial:
    """One sample as a trial; of a dataset without `pooled` and `refined_sets`, with the stored r(p) alone."""
    setting, image, affinities = setting_of(dataset), dataset.read("image", row), dataset.read("affinities", row)
    if "pooled" in dataset.group:
        layer_maps, columns = dataset.read("layer_maps", row), dataset.read("pooled", row)
        ks = tuple(k for k in KS if k <= len(layer_maps))
        return trials.of_attention(image, layer_maps, columns, affinities, setting, ks)
    evidence = trials.Evidence(dataset.read("class_map", row), dataset.read("refined", row), affinities)
    sets = dataset.read("refined_sets", row) if dataset.seed_sets else None
    return trials.of_sets(image, evidence, setting, sets, dataset.seed_sets)
