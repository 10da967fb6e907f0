"""Where a prompt mentions a class, and whether the words mean its object: "a dog", not "a hot dog" or "dogs".

Plain text in and out. Knows nothing of tokens, of language models or of other reasons to reject a prompt.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.classes.compounds import COLOURS, DETERMINERS, FOLLOWERS, HEADS, compounds_with
from models.classes.imagenet import categories
from models.errors import UserError
from models.prompts.typography import plain_form

# What separates two words of a name; a model may write another of them, or leave an apostrophe out.
JOINT = re.compile(r"(?<=[^\W_])([-_ ']+|\. )(?=[^\W_])")
IRREGULAR = {
    "child": "children", "foot": "feet", "goose": "geese", "knife": "knives", "leaf": "leaves", "loaf": "loaves",
    "man": "men", "mouse": "mice", "ox": "oxen", "person": "people", "scarf": "scarves", "shelf": "shelves",
    "tooth": "teeth", "wolf": "wolves",
}  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """Words of a prompt that name a class or contain its name.

    start, end: their place; owner: the class that they name, '' if they name something that is no class;
    plural: whether they name several; modifies: whether they belong to another noun, as in "dog house".
    """

    start: int
    end: int
    owner: str
    plural: bool
    modifies: bool


class Names:
    """The words for the classes of a dataset, to find in prompts of one class.

    phrases: the words that name each class, by class.
    """

    def __init__(self, category: str, phrases: Mapping[str, tuple[str, ...]]):
        own = [form for phrase in phrases[category] for form in plurals(phrase)]
        own_words = list(map(plain, phrases[category]))
        compounds = {n: _owner(n, kind, category, own_words) for n, kind in compounds_with(own_words).items()}
        self._plurals = {_key(form) for form in own} | {_key(form) for name in compounds for form in plurals(name)}
        self._owner = {_key(form): owner for name, owner in compounds.items() for form in (name, *plurals(name))}
        self._owner |= dict.fromkeys(map(_key, own), category)
        self._owner |= {_key(phrase): name for name, words in phrases.items() for phrase in words}
        self._plurals -= {_key(phrase) for words in phrases.values() for phrase in words}
        every = [phrase for words in phrases.values() for phrase in words]
        self._pattern = any_of([*every, *own, *(form for name in compounds for form in (name, *plurals(name)))])

    def mentions(self, text: str) -> list[Mention]:
        """The mentions in a text in plain form, in order; of two that overlap, the longer."""
        return [
            Mention(m.start(), m.end(), self._owner[key], key in self._plurals, _modifies(text, m))
            for m in self._pattern.finditer(text)
            for key in [_key(m.group())]
        ]


def _owner(name: str, kind: str, category: str, phrases: Iterable[str]) -> str:
    """The class that a compound with a phrase of `category` names: `category` if it is a kind of it, else ''.

    A compound of a merged category is a kind of that category. A class that is none of them has those that end in it.
    """
    if kind == category.lower():
        return category
    is_known = category.lower() in categories()
    return category if kind and not is_known and any(name.endswith(" " + phrase) for phrase in phrases) else ""


def phrase_in(text: str, phrases: Sequence[str]) -> str:
    """The longest of the phrases that the prompt contains as whole words; UserError if it contains none.

    If the prompt joins the words in another way, "t shirt" for "T-shirt", or has the plural, they are returned as they
    stand in it.
    """
    longest_first, lower = sorted(phrases, key=len, reverse=True), " ".join(text.lower().split())
    for phrase in longest_first:
        exact = re.escape(" ".join(phrase.lower().split()))
        if re.search(rf"(?<!\w){exact}(?!\w)", lower):
            return phrase
    for forms in ([phrase] for phrase in longest_first), (plurals(phrase) for phrase in longest_first):
        for words in forms:
            if found := any_of(words).search(plain(text)):
                return found.group()
    raise UserError(f"prompt: expected one that names {' or '.join(phrases)}, got {text[:100]!r}; add the word")


def any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """A pattern for any of the phrases as whole words of a text in plain form, joined in any way, the longest first."""
    longest_first = sorted(map(plain, phrases), key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(_pattern_of, longest_first)) + r")(?!\w)")


def _pattern_of(phrase: str) -> str:
    pieces = JOINT.split(phrase)
    words, separators = pieces[::2], pieces[1::2]
    joints = [
        r"'?" if separator == "'" else r"\.?[-_ ]?" if "." in separator else r"'?[-_ ]'?" for separator in separators
    ]
    return "".join(re.escape(word) + joint for word, joint in zip(words, [*joints, ""], strict=True))


def plain(text: str) -> str:
    """The text in plain form and lower case with single spaces."""
    return " ".join(plain_form(text).lower().split())


def plurals(phrase: str) -> list[str]:
    """Plurals of a phrase's last word, as people write them."""
    *before, last = re.split(r"(?<=[-_ ])", plain(phrase))
    forms = [IRREGULAR.get(last, last + "s")]
    if re.search(r"(s|x|z|ch|sh|o)$", last):
        forms.append(last + "es")
    if re.search(r"[^aeiou]y$", last):
        forms.append(last[:-1] + "ies")
    return ["".join([*before, form]) for form in forms]


def _key(words: str) -> str:
    """The letters and digits of a name, by which it is recognised however its words are joined."""
    return re.sub(r"[\W_]+", "", plain(words))


def _modifies(text: str, mention: re.Match[str]) -> bool:
    """Whether the words belong to another noun: "dog house", "cat-shaped", "orange car"."""
    after, before = text[mention.end() :], text[: mention.start()]
    if re.match(r"-\w", after):
        return True
    found = re.match(r" ([^\W\d_]+)", after)
    following = found.group(1) if found else ""
    if following in HEADS:
        return True
    if mention.group() not in COLOURS:
        return False
    if following and following not in FOLLOWERS and not following.endswith(("ing", "ed")):
        return True
    return not _has_determiner(re.split(r"[,.;:()]", before)[-1].split())


def _has_determiner(words: list[str]) -> bool:
    """Whether the words before a noun end in its determiner: "a", "a ripe", but not "a car painted"."""
    *_, third, second, first = ["", "", "", *words]
    if DETERMINERS.intersection((first, second)):
        return not first.endswith("ing")
    return third in DETERMINERS and not any(word.endswith(("ing", "ed")) for word in (first, second))
