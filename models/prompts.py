"""Class and prompt of each sample: a grammar of subject, scene, lighting, view and style (DiffusionSeg, section 3.2.1).

Both follow from (dataset seed, sample index) alone. Knows nothing of backbones' weights, tokenizers or the store.
"""

from dataclasses import dataclass

import numpy as np

from models.config import BuildConfig
from models.pocket import scenes

SUBJECTS = (
    "a {category}",
    "a single {category}",
    "one {category}",
    "a close portrait of a {category}",
    "a large {category}",
)
SCENES = (
    "in a green meadow", "on a city street", "on a sandy beach", "beside a quiet lake", "in a snowy field",
    "in a forest", "in a bright room", "on a wooden table", "in front of a brick wall", "on a mountain path",
    "under a cloudy sky", "in a garden",
)  # fmt: skip
LIGHTINGS = (
    "warm evening light",
    "soft morning light",
    "bright daylight",
    "overcast light",
    "studio lighting",
    "golden hour",
)
VIEWINGS = (
    "seen from the side",
    "seen from the front",
    "seen from a low angle",
    "seen from above",
    "at eye level",
    "in close-up",
)
LOOKS = (
    "realistic photograph",
    "documentary style",
    "sharp focus",
    "shallow depth of field",
    "high detail",
    "35 mm film",
)

_PROMPT_STREAM, _NOISE_STREAM = 0, 1  # independent generators of one sample


@dataclass(frozen=True)
class Planned:
    """A sample before it is made: what to draw, in which words, from which noise seed (int64, non-negative)."""

    index: int
    category: str
    prompt: str
    seed: int


def plan(config: BuildConfig, index: int) -> Planned:
    """Sample `index` of the dataset: depends on the classes and the dataset seed, never on the count or the batch."""
    category = category_of(config, index)
    rng = np.random.default_rng([config.seed, index, _PROMPT_STREAM])
    seed = int(
        np.random.SeedSequence([config.seed, index, _NOISE_STREAM]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )
    return Planned(index, category, _prompt(config, category, rng), seed)


def category_of(config: BuildConfig, index: int) -> str:
    """Classes come in shuffled rounds: every run of len(classes) consecutive samples from a round has each once."""
    round_, place = divmod(index, len(config.classes))
    order = np.random.default_rng([config.seed, round_]).permutation(len(config.classes))
    return config.classes[order[place]]


def _prompt(config: BuildConfig, category: str, rng: np.random.Generator) -> str:
    if config.templates:
        return str(rng.choice(config.templates)).replace("{category}", category)
    if config.backbone == "pocket":
        return scenes.caption(
            str(rng.choice(list(scenes.COLOURS))), category.lower(), str(rng.choice(scenes.BACKGROUNDS)),
            str(rng.choice(list(scenes.LIGHTS))), str(rng.choice(list(scenes.VIEWS))), str(rng.choice(scenes.STYLES)),
        )  # fmt: skip
    subject, *rest = (str(rng.choice(options)) for options in (SUBJECTS, SCENES, LIGHTINGS, VIEWINGS, LOOKS))
    text = f"{subject} {', '.join(rest)}".replace("{category}", category)
    return text.replace(f"a {category}", f"an {category}", 1) if category[0].lower() in "aeiou" else text


def farthest_prompts(config: BuildConfig, category: str) -> list[str]:
    """Every own template, or the grammar's longest subject, naming the category: if any truncates it, these do."""
    subjects = config.templates or (max(SUBJECTS, key=len),)
    return [subject.replace("{category}", category) for subject in subjects]


def check_classes(config: BuildConfig) -> None:
    """ValueError for a class that pocket, or its CLIP, was never shown."""
    unknown = [name for name in config.classes if name.lower() not in scenes.CLASSES]
    if unknown and config.backbone == "pocket":
        raise ValueError(
            f"classes: the pocket backbone does not know {', '.join(unknown)}; it knows {', '.join(scenes.CLASSES)}. "
            "Choose among these, or name another --backbone"
        )
    if unknown and config.screen.clip == "pocket":
        raise ValueError(
            f"screen.clip: pocket's CLIP does not know {', '.join(unknown)}; name an open_clip model, as in "
            "--set screen.clip=ViT-B-32:openai, or 'none'"
        )
