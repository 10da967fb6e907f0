"""Class and prompt of each sample: a grammar of subject, scene, lighting, view and style (DiffusionSeg, section 3.2.1).

Both depend only on (dataset seed, sample index) and, if a language model wrote the prompts, on their order.
Knows nothing of backbones' weights, tokenizers or the store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.backbone.facts import taught
from models.backbone.protocol import BackboneFacts
from models.classes.pocket import Taught
from models.classes.scenes import GROUPS, LIGHTINGS, LOOKS, SCENES, SUBJECTS, VIEWINGS
from models.config.build import BuildConfig
from models.errors import UserError
from models.prompts.mentions import phrase_in

GRAMMAR = "grammar"
PromptStore = Mapping[str, Sequence[tuple[str, str]]]  # (prompt, its source) in order, by class
SHOWN = 5  # unknown classes that an error names
_PROMPT_STREAM, _NOISE_STREAM = 0, 1  # independent generators of one sample


@dataclass(frozen=True)
class Planned:
    """A sample before it is generated: category, prompt and noise seed (int64, non-negative).

    phrase: the words of the prompt that name the category and whose attention is recorded; prompt_source: who wrote it.
    """

    index: int
    category: str
    phrase: str
    prompt: str
    seed: int
    prompt_source: str = GRAMMAR


@dataclass(frozen=True)
class Grammar:
    """The classes and the prompts of a dataset's samples.

    phrases: class -> the words that prompts use for it, classes in order; groups: class -> its group, if it has one;
    templates: the user's prompts in place of the grammar's; per_class: largest number of different prompts that a
    language model writes for a class; taught: the words the backbone knows, None if not limited to a list.
    """

    seed: int
    phrases: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str]
    templates: tuple[str, ...]
    per_class: int
    taught: Taught | None

    @classmethod
    def of(cls, config: BuildConfig, taught: Taught | None) -> Self:
        """The grammar of a build; taught: the words that its backbone knows, None if not limited to a list."""
        phrases = {name: config.phrases_of(name) for name in config.classes}
        return cls(config.seed, phrases, config.groups, config.templates, config.prompts.per_class, taught)

    def plan(self, index: int, prompt_store: PromptStore | None = None) -> Planned:
        """Sample `index` of the dataset: depends on the classes and the dataset seed, not on the count or the batch.

        With a prompt store it also depends on the order of the prompts: the n-th sample of a class takes the class's
        n-th prompt; after `per_class` prompts they repeat.
        """
        category = self.category_of(index)
        rng = np.random.default_rng([self.seed, index, _PROMPT_STREAM])
        noise = np.random.SeedSequence([self.seed, index, _NOISE_STREAM]).generate_state(1, np.uint64)[0]
        seed, phrases = int(noise >> np.uint64(1)), self.phrases[category]
        if prompt_store is not None:
            prompt, source = prompt_store[category][index // len(self.phrases) % self.per_class]
            return Planned(index, category, phrase_in(prompt, phrases), prompt, seed, source)
        phrase = phrases[0] if len(phrases) == 1 else str(rng.choice(phrases))
        prompt = self._prompt(category, phrase, rng)
        return Planned(index, category, phrase_in(prompt, (phrase,)), prompt, seed)

    def category_of(self, index: int) -> str:
        """The class of a sample: classes come in shuffled rounds, each of which has every class once."""
        classes = tuple(self.phrases)
        round_, place = divmod(index, len(classes))
        return classes[np.random.default_rng([self.seed, round_]).permutation(len(classes))[place]]

    def prompts_needed(self, count: int) -> dict[str, int]:
        """The number of different prompts that each class needs for `count` samples."""
        rounds, rest = divmod(count, len(self.phrases))
        last = {self.category_of(rounds * len(self.phrases) + i) for i in range(rest)}
        return {name: min(self.per_class, rounds + (name in last)) for name in self.phrases}

    def vocabulary(self, category: str) -> tuple[str, ...]:
        """The only words allowed in prompts of a class: the class and the words the backbone knows; empty for any."""
        return () if self.taught is None else (category.lower(), *self.taught.words)

    def farthest_prompts(self, category: str) -> list[tuple[str, str]]:
        """(prompt, phrase) with the phrase as late as it can be: if truncation cuts any prompt's phrase, it cuts these.

        They are from the templates, or from the grammar's longest subject.
        """
        subjects, _ = self._subjects_and_scenes(category)
        texts = self.templates or (max(subjects, key=len),)
        prompts = [(text.replace("{category}", phrase), phrase) for text in texts for phrase in self.phrases[category]]
        return [(prompt, phrase_in(prompt, (phrase,))) for prompt, phrase in prompts]

    def _prompt(self, category: str, phrase: str, rng: np.random.Generator) -> str:
        if self.templates:
            return str(rng.choice(self.templates)).replace("{category}", phrase)
        if self.taught is not None:
            return self.taught.caption(phrase, rng)
        subjects, places = self._subjects_and_scenes(category)
        subject, *rest = (str(rng.choice(options)) for options in (subjects, places, LIGHTINGS, VIEWINGS, LOOKS))
        text = f"{subject} {', '.join(rest)}".replace("{category}", phrase)
        return text.replace(f"a {phrase}", f"an {phrase}", 1) if phrase[0].lower() in "aeiou" else text

    def _subjects_and_scenes(self, category: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return GROUPS.get(self.groups.get(category, ""), (SUBJECTS, SCENES))


def check_classes(grammar: Grammar, facts: BackboneFacts, clip: str) -> None:
    """UserError if the backbone or screening's CLIP does not know a class."""
    words = [phrase for name, phrases in grammar.phrases.items() for phrase in (name, *phrases)]
    if facts.taught and (unknown := _unknown(words, facts.taught)):
        raise UserError(
            f"classes: the {facts.name} backbone does not know {unknown}; it knows {', '.join(facts.taught.classes)}. "
            "Choose among these, or name another --backbone"
        )
    taught_to_clip = taught(clip)
    if taught_to_clip and (unknown := _unknown(words, taught_to_clip)):
        raise UserError(
            f"screen.clip: {clip}'s CLIP does not know {unknown}; name an open_clip model, as in "
            "--set screen.clip=ViT-B-32:openai, or 'none'"
        )


def _unknown(words: list[str], known: Taught) -> str:
    """The words that are not among the known classes, the first few by name; '' if all are."""
    unknown = list(dict.fromkeys(word for word in words if word.lower() not in known.classes))
    return ", ".join(unknown[:SHOWN]) + (f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else "")
