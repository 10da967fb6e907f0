"""What may differ between a dataset's stored config and that of the build that resumes it: not its LoRAs."""

import pytest

from models.config.build import BuildConfig
from storage.dataset.target import difference


@pytest.mark.parametrize("here", [(), ("a.safetensors:0.5",), ("b.safetensors",), ("a.safetensors", "b.safetensors")])
@pytest.mark.parametrize("there", [(), ("a.safetensors",), None])
def test_a_dataset_keeps_its_loras(there, here):
    """None: a dataset that was made before there were any."""
    given = {"classes": ["ball"], "count": 2}
    before, now = (BuildConfig.model_validate(given | {"lora": loras or ()}) for loras in (there, here))
    stored = before.model_dump(mode="json", by_alias=True)
    if there is None:
        del stored["lora"]
    assert difference(stored, before.identity()) == ""
    assert difference(stored, now.identity()).startswith("lora is ") == ((there or ()) != here)
