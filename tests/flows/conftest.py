"""The only Prefect harness, and the small build that the flows' tests compare with."""

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from maskmill.cli import app
from models.config.build import BuildConfig
from storage.dataset.reader import Dataset, open_dataset


@pytest.fixture(scope="session", autouse=True)
def prefect_server(tmp_path_factory):
    """One Prefect server for all flows of the session, its database thrown away after."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"  # its row can lock the database of a busy machine
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


def run(*arguments: object) -> Result:
    """The command line with these arguments, in this process."""
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="session")
def server_url(prefect_server) -> str:
    """That server, for commands in processes of their own: each would start one, which takes longer than its work."""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def config(tiny_folders) -> BuildConfig:
    """Eight samples in two shards, each sampled alone, so that they stay equal bit by bit whatever else changes."""
    return BuildConfig.model_validate(
        {
            "classes": ["cat", "red dog"],
            "count": 8,
            "seed": 7,
            "shard_size": 4,
            "backbone": str(tiny_folders["sd1"]),
            "sampling": {"steps": 2, "guidance": 2.0, "keep_pooled": True},
            "cut": {"alpha": 0.2},
            "screen": {
                "clip": "none",
                "min_area": 0.02,
                "max_area": 0.3,
                "max_uncertainty": 1.0,
                "drop_uncertain": 0.4,
            },
            "run": {"batch_size": 1, "device": "cpu"},
        }
    )


@pytest.fixture(scope="session")
def built(config, tmp_path_factory) -> Path:
    """That build, published as v1; not to be changed."""
    from flows.build import build

    out = tmp_path_factory.mktemp("built") / "dataset"
    build(config, out)
    return out


def changed(config: BuildConfig, **sections: object) -> BuildConfig:
    """The config with other values: `changed(config, count=4, cut={"alpha": 1.0})`."""
    values = {k: getattr(config, k).model_copy(update=v) if isinstance(v, dict) else v for k, v in sections.items()}
    return config.model_copy(update=values)


def arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """Everything a version stores, by name."""
    return {name: np.asarray(array[:]) for name, array in dataset.group.arrays()}


def assert_equal(path: Path, other: Path) -> None:
    """The latest versions of two datasets hold the same arrays and the same table."""
    one, two = open_dataset(path), open_dataset(other)
    assert one.frame().equals(two.frame())
    found, expected = arrays(one), arrays(two)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
