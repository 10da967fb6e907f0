"""The words of pocket's captions: its classes and the words that describe its scenes. Text only.

Knows nothing of how a scene looks (models/pocket/scenes.py), of tokens or of networks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLASSES = ("ball", "star", "ring", "box", "cone", "cross", "heart", "moon", "leaf", "flower", "mushroom", "arrow")
# Colours, backgrounds, lights, views and styles are drawn independently of the class: only the shape shows the class.
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
BACKGROUNDS = ("plain", "striped", "checked", "dotted", "wavy", "cloudy", "woven")
LIGHTS = ("bright", "soft", "dim")
VIEWS = ("close", "far")
STYLES = ("matte", "glossy")
LOOKS = (*COLOURS, *BACKGROUNDS, *LIGHTS, *VIEWS, *STYLES)
FUNCTION_WORDS = (
    "a", "an", "the", "photo", "picture", "of", "on", "and", "with", "background", "light", "view", "style",
)  # fmt: skip


@dataclass(frozen=True)
class Taught:
    """All classes and words that a small backbone or CLIP was trained on.

    classes: all that it knows; words: all words that it knows beside the classes; caption: a function that gives a
    random caption for a phrase.
    """

    classes: tuple[str, ...]
    words: tuple[str, ...]
    caption: Callable[[str, np.random.Generator], str]


def caption(colour: str, category: str, background: str, light: str, view: str, style: str) -> str:
    """The sentence of every scene and every pocket prompt: subject, scene, lighting, view, style."""
    article = "an" if colour[0] in "aeiou" else "a"
    return f"{article} {colour} {category} on a {background} background, {light} light, {view} view, {style} style"


def random_caption(phrase: str, rng: np.random.Generator) -> str:
    """A random caption of an object that is named by the phrase."""
    colour, background, light, view, style = (
        str(rng.choice(words)) for words in (COLOURS, BACKGROUNDS, LIGHTS, VIEWS, STYLES)
    )
    return caption(colour, phrase.lower(), background, light, view, style)


TAUGHT = Taught(CLASSES, (*FUNCTION_WORDS, *LOOKS), random_caption)
