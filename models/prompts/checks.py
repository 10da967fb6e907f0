"""Checks of prompts that a language model wrote: accepted, or the reason for rejecting.

The model's output is untrusted text. Knows nothing of the endpoint or of the store.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from models.backbone.tokens import category_span
from models.prompts.mentions import Names, any_of, phrase_in, plain, plurals
from models.prompts.typography import plain_form, plain_marks

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

SHORTEST, LONGEST = 3, 400  # words; characters
UNNAMED = "does not name the class"
PLURAL = "names the class in the plural"
ANOTHER = "names something else whose name contains the class's"
MODIFIER = "uses the class's word for something else"
PUNCTUATION = " ,.;:'’\"“”()!-–—&%/"
LINK = re.compile(r"https?:|www\.|://|\b[a-z0-9-]+\.(com|org|net|io|ai|dev|gov|edu)\b|\S@\S", re.IGNORECASE)
ENTITY = re.compile(r"&#?\w+;")
INSTRUCTION = re.compile(
    r"\b(ignore|disregard|forget|override)\b.*\b(previous|above|all|instructions?|prompts?|rules?)\b"
    r"|\b(instructions?|assistant|chatgpt|language model|system prompt|as an ai|as a model|json)\b"
    r"|\b(i (can|cannot|can't|will|am|have)|i'm|sorry|certainly|here (is|are)|you (are|must|should|will))\b"
    r"|\b(please|click|visit|subscribe|download|execute|run the|write|generate|create|draw|make|show me|imagine)\b"
    r"|^(system|user|prompt|note|output|answer|category)\b\s*[:\d-]",
    re.IGNORECASE,
)
SEVERAL = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|dozens?|several|many|multiple|few|couple|groups?|herd|flock|"
    r"pack|crowd|rows?|collection|various|different)\b",
    re.IGNORECASE,
)
COUNTED = re.compile(r"\b\d+( \w+)?\s*$")
BESIDE = re.compile(
    r"\b(and|with|or|versus|holding|riding|chasing|wearing)( (a|an|the|his|her|its|another|one))?( \w+)?$"
)
STOP_WORDS = frozenset("a an the of on in at with and to from by for under over its his her as is into".split())


class PromptChecker:
    """Checks the prompts of one class in order; each is compared with those accepted before it.

    phrases: the words that name each class of the dataset, by class. vocabulary: the only allowed words; any if empty.
    max_overlap: largest share of common words of two prompts, not counting stop words and the class's phrases.
    """

    def __init__(
        self,
        category: str,
        phrases: Mapping[str, tuple[str, ...]],
        tokenizer: "CLIPTokenizer",
        max_overlap: float,
        accepted: Iterable[str] = (),
        vocabulary: Sequence[str] = (),
    ):
        self._category = category
        self._names = Names(category, phrases)
        self._phrases = phrases[category]
        self._class_phrase = any_of(self._phrases)
        self._own_words = any_of([form for phrase in self._phrases for form in (phrase, *plurals(phrase))])
        self._tokenizer = tokenizer
        self._max_overlap = max_overlap
        self._vocabulary = frozenset(vocabulary)
        names = [*self._phrases, category]
        self._letters = frozenset("".join([*names, *map(plain_form, names)]))
        self._content = [self._content_of(text) for text in accepted]

    def reason(self, text: str) -> str:
        """Why a prompt is rejected; '' if it is accepted. Hyphens, quotation marks and spaces may be of any kind."""
        text = plain_marks(text)
        return self._form(text) or self._subject(text) or self._fit(text) or self._novelty(text)

    def _form(self, text: str) -> str:
        if not text.strip():
            return "empty"
        if len(text) > LONGEST:
            return "too long"
        if any(unicodedata.category(c)[0] in "CZ" and c != " " for c in text):
            return "control characters or line breaks"
        if LINK.search(text):
            return "a link"
        if ENTITY.search(text) or any(not self._is_text(c) for c in text):
            return "markup or foreign characters"
        if INSTRUCTION.search(text):
            return "an instruction"
        return "too short" if len(text.split()) < SHORTEST else ""

    def _is_text(self, c: str) -> bool:
        """Whether it is a Latin letter, a digit, common punctuation, or a character of the class's name or phrases."""
        latin = c.isalpha() and unicodedata.name(c, "").startswith("LATIN") and "FULLWIDTH" not in unicodedata.name(c)
        return latin or ("0" <= c <= "9") or c in PUNCTUATION or c in self._letters

    def _subject(self, text: str) -> str:
        """The class is the first thing that is named, in the singular, and no other class is an object beside it."""
        text = plain(text)
        if not self._own_words.search(text):
            return UNNAMED
        # Another class's word before a noun, as in "an orange car", is no object.
        mentions = [m for m in self._names.mentions(text) if m.owner == self._category or not m.modifies]
        if not mentions or mentions[0].owner == "":
            return ANOTHER
        first, *rest = mentions
        if first.owner != self._category:
            return "names another class first"
        before = text[: first.start]
        if SEVERAL.search(before) or COUNTED.search(before):
            return "more than one object"
        if first.plural:
            return PLURAL
        if first.modifies:
            return MODIFIER
        others = [m for m in rest if m.owner != self._category]
        if any(BESIDE.search(text[: m.start].rstrip()) for m in others):
            return "more than one object"
        return ""

    def _fit(self, text: str) -> str:
        words = re.findall(r"\w+", plain(text))
        if self._vocabulary and not self._vocabulary.issuperset(words):
            return "words that the backbone was not taught"
        tokens = self._tokenizer(text.lower(), add_special_tokens=False, verbose=False).input_ids
        if len(tokens) > self._tokenizer.model_max_length - 2:  # without the start and end tokens
            return "longer than the backbone reads"
        try:
            category_span(self._tokenizer, text, phrase_in(text, self._phrases))
        except ValueError:
            return UNNAMED
        return ""

    def _novelty(self, text: str) -> str:
        content = self._content_of(text)
        overlap = max((_overlap(content, other) for other in self._content), default=0.0)
        if overlap > self._max_overlap:
            return "a duplicate" if overlap == 1 else "a near-duplicate"
        self._content.append(content)
        return ""

    def _content_of(self, text: str) -> frozenset[str]:
        rest = self._class_phrase.sub(" ", plain(text))
        return frozenset(re.findall(r"\w+", rest)) - STOP_WORDS


def reasons(checked: Iterable[str]) -> str:
    """Counts of the reasons, the most frequent first, as in '3 too long, 1 markup'."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(filter(None, checked)).most_common())


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard index of two sets of words; 1 if both are empty."""
    return len(one & other) / len(one | other) if one | other else 1.0
