"""A backbone's networks: which files each is read from, fetched where necessary; loaded, or their parameters counted.

Importing it imports no torch. Knows nothing of families, of sampling or of masks.

A folder is read in full precision, or in the variant fp16 where that is all it has. Of a hub id, a float16 run fetches
the variant where there is one, half the download; any other run fetches full precision.
"""

import logging
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import Any

from models.backbone.files import Missing, is_hub_id, read_json
from models.backbone.protocol import BackboneFacts
from models.backbone.weights import hub
from models.backbone.weights.layouts import HALF, Layout, Weights, choose, shapes_in, shards, weights_in
from models.errors import UserError

logger = logging.getLogger(__name__)


def check_weights(facts: BackboneFacts) -> None:
    """UserError unless all networks' weights are in the folder, or can be fetched. Fetches none of them."""
    for part in facts.parts:
        try:
            weights_in(facts.name, facts.folder, part)
        except Missing as lacking:
            if not is_hub_id(facts.name):
                raise
            _at_hub(facts, part, (False, True), lacking)


def weights_of(facts: BackboneFacts, part: str, dtype: str) -> Weights:
    """The files of a network, fetched if necessary; UserError if they cannot be had."""
    if not is_hub_id(facts.name):
        return weights_in(facts.name, facts.folder, part)
    wanted = (False, True) if dtype == "float16" else (False,)
    for half in wanted:
        try:
            return weights_in(facts.name, facts.folder, part, (half,))
        except Missing as missing:
            lacking = missing
    try:
        found = _at_hub(facts, part, (True, False) if dtype == "float16" else (False, True), lacking)
        hub.fetch(facts.name, [found.layout.file, *found.files], facts.folder.name)
        return weights_in(facts.name, facts.folder, part, (found.layout.half,))
    except UserError as error:
        return _half_in_cache(facts, part, error)


def _half_in_cache(facts: BackboneFacts, part: str, error: UserError) -> Weights:
    """The variant fp16 if the cache has it, where full precision could not be fetched."""
    try:
        weights = weights_in(facts.name, facts.folder, part, (True,))
    except Missing:
        raise error from None
    logger.warning("maskmill: %s: %s/ is read in its variant %s, which the cache has: %s", facts.name, part, HALF, error)
    return weights


def _at_hub(facts: BackboneFacts, part: str, halves: tuple[bool, ...], lacking: Missing) -> Weights:
    """The layout to fetch, of those that the hub lists for the facts' commit; UserError if it has none."""
    try:
        names = hub.listed(facts.name, facts.folder.name)
    except UserError as error:
        raise UserError(f"{error} (of what the cache has: {lacking})") from error

    def read_index(layout: Layout) -> tuple[str, ...]:
        hub.fetch(facts.name, [layout.file], facts.folder.name)
        return shards(facts.name, layout, facts.folder / layout.file)

    return choose(facts.name, part, halves, names.__contains__, read_index)


def load_network(facts: BackboneFacts, part: str, device: str = "cpu", dtype: str = "float32") -> Any:
    """One network of a checked backbone, frozen and in evaluation mode: 'vae', 'unet', 'text_encoder' ...

    UserError if it cannot be loaded.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()  # transformers' report of missing tensors takes several lines; they are an error below
    weights = weights_of(facts, part, dtype)
    options = {"torch_dtype": getattr(torch, dtype), "local_files_only": True, "output_loading_info": True}
    with TemporaryDirectory(prefix="maskmill-") as view:
        _link(facts.folder, weights, Path(view))
        try:
            network, info = _class_of(part).from_pretrained(view, use_safetensors=weights.layout.is_safe, **options)
            if missing_keys := sorted(info["missing_keys"]):
                raise UserError(f"{len(missing_keys)} tensors are missing, for example {missing_keys[0]}")
        except Exception as error:  # from diffusers, transformers, safetensors and torch
            why = shorten(f"{type(error).__name__}: {error}".replace(view, part), 160)
            raise UserError(
                f"backbone {facts.name}: {part}/ could not be loaded: its weights do not match its config.json ({why}); "
                "download it again"
            ) from error
    return network.to(device).eval().requires_grad_(False)


def _link(folder: Path, weights: Weights, view: Path) -> None:
    """Show the libraries the chosen files alone, under names without the variant: each has an order of its own."""
    layout = weights.layout
    links = {"config.json": f"{layout.part}/config.json", layout.plain: layout.file}
    links |= {Path(file).name: file for file in weights.files if layout.has_shards}
    for name, file in links.items():
        (view / name).symlink_to((folder / file).absolute())


def count_parameters(facts: BackboneFacts, part: str) -> int:
    """The numbers that a network holds once it is loaded; fetches no weights.

    By the headers of its files; where these do not tell, by its configuration, which imports torch.
    """
    try:
        weights = weights_in(facts.name, facts.folder, part)
    except Missing:  # of a hub id, not yet fetched
        return _count_by_config(facts, part)
    if not weights.layout.is_safe:
        return _count_by_config(facts, part)
    shapes = [shape for file in weights.files for shape in (shapes_in(facts.folder / file) or {}).values()]
    return sum(math.prod(sizes) for kind, sizes in shapes if "F" in kind)  # not the positions, which are integers


def _count_by_config(facts: BackboneFacts, part: str) -> int:
    import torch

    config = read_json(facts.name, facts.folder / part / "config.json")
    network_class = _class_of(part)
    try:
        with torch.device("meta"):
            if config_class := getattr(network_class, "config_class", None):
                network = network_class(config_class.from_dict(config))
            else:
                network = network_class.from_config(config)
    except Exception as error:  # from diffusers and transformers, for values that no network can have
        why = shorten(f"{type(error).__name__}: {error}", 160)
        raise UserError(f"backbone {facts.name}: {part}/config.json is not valid ({why}); download it again") from error
    return sum(parameter.numel() for parameter in network.parameters())


def _class_of(part: str) -> Any:
    """The class of a part's network."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    return {
        "vae": AutoencoderKL, "unet": UNet2DConditionModel,
        "text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection,
    }[part]  # fmt: skip
