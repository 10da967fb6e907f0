"""The networks of a single file, converted to diffusers' and transformers' by diffusers itself.

Knows nothing of folders of weights, of sampling or of masks. As diffusers does, it takes the trained weights where a
file has averaged ones (EMA) besides.
"""

from pathlib import Path
from textwrap import shorten
from typing import Any

from models.backbone.single_file.contents import part_prefixes, unpickled
from models.errors import UserError


def load_part(file: Path, folder: Path, part: str, network_class: Any, dtype: Any) -> Any:
    """One network of a checked file, with the configurations in `folder`; UserError if the two do not fit."""
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    tensors = _tensors(file, part_prefixes(file)[part])
    options = {"config": str(folder), "subfolder": part, "torch_dtype": dtype, "local_files_only": True}
    try:
        if part.startswith("text_encoder"):
            network = create_diffusers_clip_model_from_ldm(network_class, tensors, **options)
        else:
            network = network_class.from_single_file(tensors, **options)
        if lacking := [name for name, value in network.named_parameters() if value.is_meta]:
            raise UserError(f"{len(lacking)} tensors are missing, for example {lacking[0]}")
    except Exception as error:  # from diffusers, transformers, accelerate and torch
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise UserError(
            f"backbone {file}: its {part} could not be loaded: its tensors do not fit the configuration ({why}); "
            "download it again, or put a folder with its configurations beside it"
        ) from error
    return network


def _tensors(file: Path, prefix: str) -> dict[str, Any]:
    """The tensors whose names begin so."""
    if file.suffix != ".safetensors":
        return {name: tensor for name, tensor in unpickled(file).items() if name.startswith(prefix)}
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys() if name.startswith(prefix)}  # noqa: SIM118
