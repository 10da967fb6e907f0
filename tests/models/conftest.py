"""Each tiny backbone in turn."""

from pathlib import Path

import pytest

from models.backbone.load import load_backbone
from models.backbone.stable_diffusion import StableDiffusion
from tests.tiny import TINY


@pytest.fixture(params=list(TINY))
def folder(request, tiny_folders) -> Path:
    """A tiny backbone's folder, of each family in turn; not to be changed."""
    return tiny_folders[request.param]


@pytest.fixture
def backbone(folder) -> StableDiffusion:
    return load_backbone(str(folder), "cpu")
