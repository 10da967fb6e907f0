"""Builds at a folder whose dataset was begun before thresholds could adapt."""

import pytest

from flows.checks.build import open_writer, preflight
from models.config.build import BuildConfig
from models.config.overrides import resolve
from models.errors import UserError
from storage.dataset.writer import DatasetWriter

OLDER = {"thresholds": "paper"}


@pytest.fixture
def older(tiny_folders, tmp_path):
    """A dataset of a backbone without a preset, as an older version began it, and what began it."""
    given = {"classes": ["cat"], "count": 4, "backbone": str(tiny_folders["sd1"]), "screen": {"clip": "none"}}
    plan = preflight(BuildConfig.model_validate(given | {"cut": OLDER}), tmp_path / "dataset")
    stored = plan.config.model_dump(mode="json", by_alias=True)
    del stored["cut"]["thresholds"]
    with DatasetWriter.open(
        plan.out, stored, plan.config.identity(), plan.image_size, plan.grid, plan.config.shard_size, 4, plan.pooled
    ):
        pass
    return given, plan.out


def test_the_same_command_resumes_it_under_the_papers_thresholds(older, caplog):
    given, out = older
    plan = preflight(resolve(BuildConfig, None, given, []), out)
    assert plan.config.cut.thresholds == "paper" and plan.config.cut.lambda_ == 0.1
    assert "was begun with the paper's thresholds" in caplog.text
    with open_writer(plan):
        pass


def test_other_thresholds_are_refused_there_by_name(older):
    given, out = older
    with pytest.raises(UserError, match="cut.* there, .* here"):
        preflight(resolve(BuildConfig, None, given, ["cut.thresholds=adaptive"]), out)


def test_a_new_dataset_has_thresholds_that_adapt(older, tmp_path):
    given, _ = older
    assert preflight(resolve(BuildConfig, None, given, []), tmp_path / "new").config.cut.thresholds == "adaptive"
