"""Which family a backbone is of, by its json files, and what they tell: pocket, a diffusers folder or a hub id.

Imports no torch, so that bad input is refused before anything heavy starts. Loads no network.
"""

from dataclasses import replace

from models.backbone import stable_diffusion
from models.backbone.files import EXPECTED, locate, read_json
from models.backbone.protocol import BackboneFacts, Family
from models.classes import pocket
from models.classes.pocket import Taught
from models.config.backbone import is_pocket
from models.errors import UserError

# Pipeline's class name in model_index.json -> family: one line each.
FAMILIES: dict[str, Family] = {
    stable_diffusion.PIPELINE: stable_diffusion,
}


def check_backbone(name: str) -> BackboneFacts:
    """Facts of the named backbone, or a UserError of one line. Fetches no weights, imports no torch."""
    folder = locate(name, light_files())
    index = folder / "model_index.json"
    pipeline = read_json(name, index).get("_class_name", "") if index.is_file() else ""
    family = FAMILIES.get(pipeline or stable_diffusion.PIPELINE)  # without an index its parts say what it is
    if family is None:
        raise UserError(f"backbone {name}: {EXPECTED}, got a {pipeline}; choose a {' or '.join(FAMILIES)}")
    try:
        facts = family.facts_of(name, folder)
    except (UserError, OSError):
        raise
    except Exception as error:  # a family checks what tells networks apart; json can hold anything else as well
        raise UserError(
            f"backbone {name}: {EXPECTED}; its json files hold values that no such network has "
            f"({type(error).__name__}: {error}); fetch it again"
        ) from error
    return replace(facts, taught=taught(name))


def light_files() -> list[str]:
    """Patterns of the files that facts are read from, of all families."""
    return list(dict.fromkeys(["model_index.json", *(file for each in FAMILIES.values() for file in each.LIGHT_FILES)]))


def taught(name: str) -> Taught | None:
    """All that the backbone or the CLIP of that name was taught; None where it knows language."""
    return pocket.TAUGHT if is_pocket(name) else None
