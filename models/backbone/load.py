"""Load a checked backbone of any family, once per process. Knows nothing of attention or of sampling."""

from functools import lru_cache

from models.backbone.facts import FAMILIES, check_backbone
from models.backbone.protocol import Backbone, BackboneFacts
from models.hardware import keep_freed_memory, resolve_device


def load_backbone(backbone: str | BackboneFacts, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a backbone, by its name or its facts, once per process.

    auto: a GPU in float16 if there is one, else the CPU in float32. UserError if it cannot be loaded.
    """
    device = resolve_device(device)
    if dtype == "auto":
        dtype = "float16" if device.startswith("cuda") else "float32"
    return _load(check_backbone(backbone) if isinstance(backbone, str) else backbone, device, dtype)


@lru_cache(maxsize=2)
def _load(facts: BackboneFacts, device: str, dtype: str) -> Backbone:
    if device == "cpu":
        keep_freed_memory()
    return FAMILIES[facts.family].load(facts, device, dtype)
