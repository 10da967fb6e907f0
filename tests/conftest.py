"""Tiny backbones' folders, a home folder, one thread a process, and patience with a busy machine.

Tiny networks gain nothing from a second thread, and lose much where the other core is busy with another test.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch and numpy read it when they are imported, here or in a subprocess
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory) -> dict[str, Path]:
    """Folders of Stable Diffusion 1.x and 2.x in the diffusers layout, by family; not to be changed."""
    from tests.tiny import TINY, tiny_networks  # loads torch, which most tests do without

    folders = {}
    for family in TINY:
        folders[family] = tmp_path_factory.mktemp(family)
        for part, network in tiny_networks(family).items():
            network.save_pretrained(folders[family] / part)
    return folders


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory) -> Path:
    """The folder of a tiny Stable Diffusion XL; not to be changed."""
    from tests.tiny_xl import tiny_xl

    return tiny_xl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The user's home folder, where a test finds itself in `here` beside it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"
