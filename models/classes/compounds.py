"""Words that make something else of a class's word: "hot dog" is no dog, "dog house" a house, "orange car" a colour.

Names of things (ImageNet's labels, the merged categories and a few more), nouns that a class's word is often put
before, and names of fruits, flowers and stones that are colours too. Knows nothing of prompts or of tokens.
"""

import re
from collections.abc import Iterable
from functools import cache

from models.classes.imagenet import labels, merged

# Names that are no kind of what one of their words says, besides ImageNet's.
NOT_KINDS = (
    "corn dog, chili dog, prairie dog, gummy bear, sea horse, rocking horse, clothes horse, pommel horse, mountain "
    "lion, ant lion, crab apple, sea star, couch potato, peanut butter, dragon fruit, toy dog, toy cat, toy car, "
    "toy train, toy truck, toy boat, model train, model car, paper plane, paper boat, bumper car, cable car, dining "
    "car, tank top, bow tie, night owl, flower pot, spider monkey, squirrel monkey"
)
# A class's word before one of these names no object of the class: the object is the second noun.
HEADS = frozenset(
    "aquarium bag bait bank basket bed bone bowl box bread breeder brush cage cake calendar cart case castle chair "
    "charm clinic cloth collar cookie costume counter cover crate crossing cushion dealer den dish door driver emblem "
    "eyes farm feeder fence field figure figurine flavour flavor flag food frame fur garden grooming handle hat holder "
    "house hut icon jar juice jam kennel key lamp leash leather license lid logo lover mask market mat meat motif mug "
    "nest oil owner pad paint pajamas park pattern pen pie pillow plush post poster pot pouch print puppet race rack "
    "repair rider road rug sanctuary sauce seat seed shadow shed shelter shop show sign silhouette skin sleeve soup "
    "spray stall stand statue sticker store stool sweater tag tail tank tattoo tea toy toys bowls collars cages "
    "figurines statues stickers posters trees houses tracks track trail trainer trap tree vendor wash wheel window "
    "yard zoo".split()
)
# Words of things that are more often colours when a noun follows.
COLOURS = frozenset(
    "amber apricot aqua bronze burgundy charcoal cherry chestnut chocolate coffee copper coral cream emerald gold "
    "indigo ivory lavender lemon lilac lime mint mustard olive orange peach pearl plum pumpkin rose ruby rust salmon "
    "sand sapphire silver tangerine turquoise violet wine".split()
)
# Words that may follow a noun where it is the object, and words before it that show that it is one.
FOLLOWERS = frozenset(
    "a above across against along amid among an and as at before behind below beneath beside between by far for from "
    "glows half hangs in inside into is lies lit near next of off on onto or outside over rests rolls seen sits so "
    "stands that the through to toward towards under upon which while with within without".split()
)
DETERMINERS = frozenset("a an another each every her his its my one our single some that the their this your".split())
# An ImageNet label whose category is another than what people call it.
ALSO = {"laptop computer": "laptop"}


@cache
def known_names() -> dict[str, str]:
    """Names of things, in lower case without brackets, each with its merged category; '' where it has none."""
    names = dict.fromkeys(NOT_KINDS.split(", "), "")
    names |= {re.sub(r" \(.*| / .*", "", name).lower(): category for name, category in labels()}
    names |= {phrase.lower(): category for category, phrases in merged()[0].items() for phrase in phrases}
    return names | ALSO


def compounds_with(phrases: Iterable[str]) -> dict[str, str]:
    """The known names that contain one of the phrases as a word of several, each with its merged category."""
    words = [re.compile(rf"(?<!\w){re.escape(phrase.lower())}(?!\w)") for phrase in phrases]
    return {
        name: category
        for name, category in known_names().items()
        if any((found := word.search(name)) and found.group() != name for word in words)
    }
