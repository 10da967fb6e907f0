"""Recuts between the paper's thresholds and those that adapt, which need other seeds of r(p)."""

import shutil

import numpy as np
import pytest

from flows.build import build
from flows.checks.recut import check_recut
from flows.recut import recut
from models.config.cut import CutConfig
from models.errors import UserError
from storage.dataset.reader import open_dataset
from tests.flows.conftest import arrays, changed


@pytest.fixture(scope="module")
def adaptive(config):
    """The small build, of which thresholds adapt: built as a user would, who names no cut."""
    return config.model_copy(update={"cut": CutConfig()})


@pytest.fixture(scope="module")
def solved(config, adaptive, built, tmp_path_factory):
    """v1 with the paper's thresholds, v2 with adaptive ones, v3 with v1's again."""
    out = shutil.copytree(built, tmp_path_factory.mktemp("thresholds") / "dataset")
    recut(adaptive, out)
    recut(config, out)
    return out


def test_a_recut_with_kept_attention_is_a_build_under_those_thresholds(adaptive, solved, tmp_path):
    """Bit for bit, and back again."""
    build(adaptive, tmp_path / "direct")
    direct, recutted = arrays(open_dataset(tmp_path / "direct")), arrays(open_dataset(solved, "v2"))
    for name in direct:
        np.testing.assert_array_equal(recutted[name], direct[name], err_msg=name)
    first, back = (arrays(open_dataset(solved, version)) for version in ("v1", "v3"))
    for name in first:
        np.testing.assert_array_equal(back[name], first[name], err_msg=name)
    assert not np.array_equal(first["refined"], recutted["refined"])


def test_a_number_that_adaptive_thresholds_do_not_use_is_not_ignored(adaptive, solved, tmp_path):
    out = shutil.copytree(solved, tmp_path / "dataset")
    recut(adaptive, out)
    for unused in ({"tau": 0.3}, {"alpha": 1.0}, {"objectness": "mean"}):
        with pytest.raises(UserError, match="adaptive thresholds do not use it; add --set cut.thresholds=paper"):
            check_recut(changed(adaptive, cut=unused), out)
    check_recut(changed(adaptive, cut={"thresholds": "paper", "tau": 0.3}), out)
