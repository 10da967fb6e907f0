"""A whole build to compare with."""

from pathlib import Path

import pytest

from tests.storage.dataset.fake_build import finish, open_writer


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "dataset"
    with open_writer(path, 10) as writer:
        finish(writer)
    return path
