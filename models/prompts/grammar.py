"""Class and prompt of each sample: a grammar of subject, scene, lighting, view and style (DiffusionSeg, section 3.2.1).

Both follow from (dataset seed, sample index) alone; where a language model wrote the prompts, from their order too.
Knows nothing of backbones' weights, tokenizers or the store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.classes.scenes import GROUPS, LIGHTINGS, LOOKS, SCENES, SUBJECTS, VIEWINGS
from models.config.backbone import is_pocket
from models.config.build import BuildConfig
from models.errors import UserError
from models.pocket import scenes
from models.prompts.checks import phrase_in

GRAMMAR = "grammar"
PromptStore = Mapping[str, Sequence[tuple[str, str]]]  # (prompt, its source) in order, by class
SHOWN = 5  # unknown classes that a refusal names
_PROMPT_STREAM, _NOISE_STREAM = 0, 1  # independent generators of one sample


@dataclass(frozen=True)
class Planned:
    """A sample before it is made: what to draw, in which words, from which noise seed (int64, non-negative).

    `phrase` is the words of the prompt that name the category, whose attention is read; `prompt_source` who wrote it.
    """

    index: int
    category: str
    phrase: str
    prompt: str
    seed: int
    prompt_source: str = GRAMMAR


def plan(config: BuildConfig, index: int, prompt_store: PromptStore | None = None) -> Planned:
    """Sample `index` of the dataset: depends on the classes and the dataset seed, never on the count or the batch.

    With bought prompts its words depend on the order of these as well: the n-th sample of a class takes the class's
    n-th prompt, and after `prompts.per_class` of them the first again.
    """
    category = category_of(config, index)
    rng = np.random.default_rng([config.seed, index, _PROMPT_STREAM])
    seed = int(
        np.random.SeedSequence([config.seed, index, _NOISE_STREAM]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )
    phrases = config.phrases_of(category)
    if prompt_store is not None:
        prompt, source = prompt_store[category][index // len(config.classes) % config.prompts.per_class]
        return Planned(index, category, phrase_in(prompt, phrases), prompt, seed, source)
    phrase = phrases[0] if len(phrases) == 1 else str(rng.choice(phrases))
    return Planned(index, category, phrase, _prompt(config, category, phrase, rng), seed)


def category_of(config: BuildConfig, index: int) -> str:
    """Classes come in shuffled rounds: every run of len(classes) consecutive samples from a round has each once."""
    round_, place = divmod(index, len(config.classes))
    order = np.random.default_rng([config.seed, round_]).permutation(len(config.classes))
    return config.classes[order[place]]


def prompts_needed(config: BuildConfig) -> dict[str, int]:
    """How many different prompts each class needs for all samples of the dataset."""
    rounds, rest = divmod(config.count, len(config.classes))
    last = {category_of(config, rounds * len(config.classes) + i) for i in range(rest)}
    return {name: min(config.prompts.per_class, rounds + (name in last)) for name in config.classes}


def vocabulary(config: BuildConfig, category: str) -> tuple[str, ...]:
    """The only words that prompts of a class may have: pocket's but for its other classes; empty where all may."""
    if not is_pocket(config.backbone):
        return ()
    from models.pocket.vocabulary import FUNCTION_WORDS  # whose module loads transformers

    looks = (*scenes.COLOURS, *scenes.BACKGROUNDS, *scenes.LIGHTS, *scenes.VIEWS, *scenes.STYLES)
    return (category.lower(), *FUNCTION_WORDS, *looks)


def _prompt(config: BuildConfig, category: str, phrase: str, rng: np.random.Generator) -> str:
    if config.templates:
        return str(rng.choice(config.templates)).replace("{category}", phrase)
    if is_pocket(config.backbone):
        return scenes.caption(
            str(rng.choice(list(scenes.COLOURS))), phrase.lower(), str(rng.choice(scenes.BACKGROUNDS)),
            str(rng.choice(list(scenes.LIGHTS))), str(rng.choice(list(scenes.VIEWS))), str(rng.choice(scenes.STYLES)),
        )  # fmt: skip
    subjects, places = GROUPS.get(config.groups.get(category, ""), (SUBJECTS, SCENES))
    subject, *rest = (str(rng.choice(options)) for options in (subjects, places, LIGHTINGS, VIEWINGS, LOOKS))
    text = f"{subject} {', '.join(rest)}".replace("{category}", phrase)
    return text.replace(f"a {phrase}", f"an {phrase}", 1) if phrase[0].lower() in "aeiou" else text


def farthest_prompts(config: BuildConfig, category: str) -> list[tuple[str, str]]:
    """(prompt, phrase): each own template, or the grammar's longest subject. If any prompt truncates it, these do."""
    subjects, _ = GROUPS.get(config.groups.get(category, ""), (SUBJECTS, SCENES))
    farthest = config.templates or (max(subjects, key=len),)
    return [(text.replace("{category}", phrase), phrase) for text in farthest for phrase in config.phrases_of(category)]


def check_classes(config: BuildConfig) -> None:
    """UserError for a class that pocket, or its CLIP, was never shown."""
    words = [phrase for name in config.classes for phrase in (name, *config.phrases_of(name))]
    unknown = list(dict.fromkeys(word for word in words if word.lower() not in scenes.CLASSES))
    shown = ", ".join(unknown[:SHOWN]) + (f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else "")
    if unknown and is_pocket(config.backbone):
        raise UserError(
            f"classes: the pocket backbone does not know {shown}; it knows {', '.join(scenes.CLASSES)}. "
            "Choose among these, or name another --backbone"
        )
    if unknown and is_pocket(config.screen.clip):
        raise UserError(
            f"screen.clip: pocket's CLIP does not know {shown}; name an open_clip model, as in "
            "--set screen.clip=ViT-B-32:openai, or 'none'"
        )
