"""Each tiny backbone in turn."""

from pathlib import Path

import pytest

from models.backbone.load import load_backbone
from models.backbone.protocol import Backbone
from tests.tiny import TINY


@pytest.fixture(params=[*TINY, "sdxl"])
def folder(request, tiny_folders, xl_folder) -> Path:
    """A tiny backbone's folder, of each family in turn; not to be changed."""
    return (tiny_folders | {"sdxl": xl_folder})[request.param]


@pytest.fixture
def backbone(folder) -> Backbone:
    return load_backbone(str(folder), "cpu")
