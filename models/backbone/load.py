"""Load a checked backbone of any family, once per process, or fetch or measure what will be loaded. Knows nothing of attention or of sampling."""

from functools import lru_cache

from models.backbone.facts import FAMILIES, check_backbone
from models.backbone.files import is_hub_id
from models.backbone.protocol import Backbone, BackboneFacts
from models.backbone.weights.networks import count_parameters, weights_of
from models.hardware import keep_freed_memory, resolve_device


def number_format(device: str, dtype: str) -> str:
    """The number format that 'auto' stands for: float16 on a GPU, float32 on a CPU."""
    if dtype != "auto":
        return dtype
    return "float16" if resolve_device(device).startswith("cuda") else "float32"


def weight_bytes(facts: BackboneFacts, device: str, dtype: str) -> int:
    """Memory of the weights as they are loaded, in bytes. Fetches none."""
    sizes = {"float32": 4, "float16": 2, "bfloat16": 2}
    dtype = number_format(device, dtype)
    return sum(count_parameters(facts, part) * sizes[_format_of(facts, part, dtype)] for part in facts.parts)


def fetch_weights(facts: BackboneFacts, device: str, dtype: str) -> None:
    """Fetch what the user's cache lacks of a hub id's weights; UserError if they cannot be had."""
    if is_hub_id(facts.name):
        dtype = number_format(device, dtype)
        for part in facts.parts:
            weights_of(facts, part, _format_of(facts, part, dtype))


def _format_of(facts: BackboneFacts, part: str, dtype: str) -> str:
    return "float32" if dtype == "float16" and part in facts.upcast else dtype


def load_backbone(backbone: str | BackboneFacts, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a backbone, by its name or its facts, once per process.

    auto: a GPU in float16 if there is one, else the CPU in float32. UserError if it cannot be loaded.
    """
    device, dtype = resolve_device(device), number_format(device, dtype)
    return _load(check_backbone(backbone) if isinstance(backbone, str) else backbone, device, dtype)


@lru_cache(maxsize=2)
def _load(facts: BackboneFacts, device: str, dtype: str) -> Backbone:
    if device == "cpu":
        keep_freed_memory()
    return FAMILIES[facts.family].load(facts, device, dtype)
