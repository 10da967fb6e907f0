"""A backbone's family and facts, read from its json files: of pocket, a diffusers folder or a hub id.

Imports no torch, so that bad input is refused before slow work starts. Loads no network.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from models.backbone import stable_diffusion, stable_diffusion_xl
from models.backbone.files import EXPECTED, SUFFIXES, Missing, is_hub_id, is_single_file, locate, read_json
from models.backbone.lora.files import read_lora
from models.backbone.lora.fusing import check_fit
from models.backbone.protocol import BackboneFacts, Family
from models.backbone.single_file.contents import folder_for
from models.backbone.weights import hub
from models.backbone.weights.networks import check_weights, outline
from models.classes import pocket
from models.classes.pocket import Taught
from models.config.backbone import is_pocket
from models.errors import UserError

# The pipeline's class name in model_index.json -> family: one line each.
FAMILIES: dict[str, Family] = {
    stable_diffusion.PIPELINE: stable_diffusion,
    stable_diffusion_xl.PIPELINE: stable_diffusion_xl,
}

ALWAYS_THERE = ("model_index.json", "tokenizer/tokenizer_config.json")  # in a repository; a folder may do without


def check_backbone(name: str, revision: str | None = None, lora: Sequence[str] = ()) -> BackboneFacts:
    """Facts of the named backbone; UserError if it is not valid. Downloads no weights; imports no torch without LoRAs.

    revision: a hub id's branch, tag or commit; if None, the commit in the user's cache, else the main branch's.
    lora: the LoRAs to fuse into it, PATH or PATH:WEIGHT each; UserError if one does not fit.
    """
    facts = _facts_of(name, revision)
    if not lora:
        return facts
    loras = tuple(map(read_lora, lora))
    check_fit(loras, {part: outline(facts, part) for part in facts.parts if part != "vae"})
    return replace(facts, lora=loras)


def _facts_of(name: str, revision: str | None) -> BackboneFacts:
    if Path(name).is_file():
        return _facts_of_file(name, Path(name))
    if not is_hub_id(name):
        return _facts_in(name, locate(name, light_files(), revision))
    before = hub.cached(name, revision)
    in_cache = None
    if before is not None:
        with suppress(Missing):
            in_cache = _facts_in(name, before)
        if in_cache is not None and all((before / file).is_file() for file in ALWAYS_THERE):
            return in_cache
    try:
        return _facts_in(name, locate(name, light_files(), revision))
    except UserError:
        if in_cache is not None:
            return in_cache
        raise


def _facts_of_file(name: str, file: Path) -> BackboneFacts:
    """Facts of the backbone in a single file."""
    if not is_single_file(name):
        expected = " or ".join(SUFFIXES)
        raise UserError(f"backbone {name}: {EXPECTED}, or a single file ({expected}), got a file of another kind")
    return replace(_facts_in(name, folder_for(file), file), file=file)


def _facts_in(name: str, folder: Path, file: Path | None = None) -> BackboneFacts:
    """Facts of the backbone whose files are in that folder, and whose weights are there, at the hub or in a file."""
    index = folder / "model_index.json"
    pipeline = str(read_json(name, index).get("_class_name") or "") if index.is_file() else ""
    family = FAMILIES.get(pipeline or stable_diffusion.PIPELINE)  # without an index, facts_of checks the parts
    if family is None:
        raise UserError(f"backbone {name}: {EXPECTED}, got a {pipeline}; choose a {' or '.join(FAMILIES)}")
    try:
        facts = family.facts_of(name, folder)
    except (UserError, OSError):
        raise
    except Exception as error:  # facts_of checks only some values; json may contain anything
        raise UserError(
            f"backbone {name}: {EXPECTED}; its json files contain values that such a network cannot have "
            f"({type(error).__name__}: {error}); download it again"
        ) from error
    facts = replace(facts, taught=taught(name), commit=folder.name if is_hub_id(name) else None)
    if file is None:
        check_weights(facts)
    return facts


def light_files() -> list[str]:
    """Patterns of the files that the facts of any family are read from."""
    files = ["model_index.json", *(file for family in FAMILIES.values() for file in family.LIGHT_FILES)]
    return list(dict.fromkeys(files))


def taught(name: str) -> Taught | None:
    """The classes and words that the backbone or CLIP of that name was trained on; None if not limited to a list."""
    return pocket.TAUGHT if is_pocket(name) else None
