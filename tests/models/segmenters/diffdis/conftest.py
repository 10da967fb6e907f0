"""DiffDIS on a tiny backbone."""

import pytest

from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.registry import segmenter_of


@pytest.fixture(scope="module")
def tiny(tiny_folders):
    """A segmenter on a tiny backbone, of v-prediction where no family is named."""

    def make(family: str = "sd2", **choices):
        values = {"backbone": str(tiny_folders[family]), "size": 64, "run": {"device": "cpu", "batch_size": 2}}
        return segmenter_of(DiffDisConfig.model_validate(values | choices))

    return make
