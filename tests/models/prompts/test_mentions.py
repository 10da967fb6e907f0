"""A class's word in a prompt is the object's word or is refused, over ImageNet's names and CLIP's vocabulary."""

import pytest
from transformers import CLIPTokenizer

from models.backbone.single_file.configs import folder_of
from models.backbone.tokens import category_span, load_tokenizer
from models.classes.compounds import known_names
from models.classes.imagenet import merged
from models.prompts.checks import ANOTHER, MODIFIER, PLURAL, UNNAMED, PromptChecker
from models.prompts.mentions import phrase_in, plurals

FRAMES = (
    "a photo of a {}",
    "wow! {} on a hill, at dusk",
    'look! "{}", seen from a low angle',
    "an old {}'s portrait; calm",
)


@pytest.fixture(scope="module", params=["1.x", "2.x"])
def tokenizer(request) -> CLIPTokenizer:
    """CLIP's tokenizer as Stable Diffusion 1.x and 2.x have it: the second pads with "!"."""
    return load_tokenizer(folder_of(request.param))


def names() -> list[str]:
    """ImageNet's 1,000 names and the words of the merged categories."""
    return sorted(known_names())


def forms(name: str) -> set[str]:
    """A name as a language model writes it."""
    spaced, hyphened = name.replace("-", " "), name.replace(" ", "-")
    return {name, name.capitalize(), name.title(), name.upper(), spaced, hyphened, *plurals(name)}


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def test_every_name_in_every_form_has_the_span_of_its_letters(tokenizer):
    """The tokens of the span spell the form, and nothing else, wherever in a prompt it stands."""
    wrong = []
    for name in names():
        for form in forms(name):
            for frame in FRAMES:
                prompt = frame.format(form)
                span = category_span(tokenizer, prompt, phrase_in(prompt, (name,)))
                ids = tokenizer(prompt.lower()).input_ids
                if letters(tokenizer.decode([ids[i] for i in span])) != letters(form):
                    wrong.append((prompt, tokenizer.decode([ids[i] for i in span])))
    assert not wrong, f"{len(wrong)}, for example {wrong[:3]}"


class Checkers(dict):
    """A checker for each merged category, as a dataset of that class alone has it."""

    def __init__(self, tokenizer: CLIPTokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def __missing__(self, category: str) -> PromptChecker:
        phrases = {category: merged()[0].get(category, (category,))}
        self[category] = PromptChecker(category, phrases, self.tokenizer, 1.0)
        return self[category]


def contained() -> list[tuple[str, str, str]]:
    """(category, its phrase, a known name of several words that contains it)."""
    pairs = [(category, phrase) for category, phrases in merged()[0].items() for phrase in phrases]
    return [
        (category, phrase, name)
        for category, phrase in pairs
        for name in names()
        if name != phrase and f" {phrase} " in f" {name} "
    ]


def test_a_name_that_contains_a_class_is_of_it_or_refused(tokenizer):
    """Against the labels' own categories: a polar bear is a bear, a teddy bear is none."""
    checkers, known, taken, refused = Checkers(tokenizer), known_names(), 0, 0
    for category, _, name in contained():
        is_kind = known[name] == category
        reason = checkers[category].reason(f"a photo of a {name} on a hill")
        assert (reason == "") == is_kind, (category, name, reason)
        taken, refused = taken + is_kind, refused + (not is_kind)
    assert taken > 70 and refused > 70


REFUSED = {
    "dog": {
        "a hot dog on a plate": ANOTHER,
        "a Hot-Dog on a plate": ANOTHER,
        "two-toned hot dogs on a plate": ANOTHER,
        "a toy dog on a shelf": ANOTHER,
        "dogs on a hill": PLURAL,
        "a dog house in a garden": MODIFIER,
        "a dog-shaped cookie on a tray": MODIFIER,
        "a dog statue in a park": MODIFIER,
        "a bulldog on a hill": UNNAMED,
    },
    "bear": {"a teddy bear on a bed": ANOTHER, "a bear rug on a floor": MODIFIER},
    "orange": {
        "an orange car on a hill": MODIFIER,
        "an orange-colored cat on a hill": MODIFIER,
        "a car painted in orange, on a hill": MODIFIER,
        "a sky turning orange at dusk": MODIFIER,
        "three oranges in a bowl": "more than one object",
    },
    "spider": {"a spider web in a forest": ANOTHER, "a spider monkey in a tree": ANOTHER},
    "mouse": {"a computer mouse on a desk": ANOTHER, "mice on a desk in light": PLURAL},
}
TAKEN = {
    "dog": ["a dog's face in warm light", "a Dog, sleeping", "a wild dog on a hill", "a dog on a hot day near dogs"],
    "bear": ["a polar bear on ice", "a grizzly bear in a river"],
    "orange": ["an orange on a table", "a ripe orange", "a peeled orange rests on a plate", "an orange, close-up"],
    "mouse": ["a mouse in a field of corn"],
}


@pytest.mark.parametrize(
    "category, text, reason", [(c, t, why) for c, texts in REFUSED.items() for t, why in texts.items()]
)
def test_other_things_are_refused_with_the_reason(tokenizer, category, text, reason):
    assert Checkers(tokenizer)[category].reason(text) == reason


@pytest.mark.parametrize("category, text", [(c, t) for c, texts in TAKEN.items() for t in texts])
def test_the_object_itself_is_taken(tokenizer, category, text):
    assert Checkers(tokenizer)[category].reason(text) == ""


def test_a_colour_is_no_other_class(tokenizer):
    phrases = {"orange": ("orange",), "car": ("car",)}
    assert PromptChecker("car", phrases, tokenizer, 1.0).reason("an orange car on a hill") == ""
    assert PromptChecker("car", phrases, tokenizer, 1.0).reason("an orange beside a car") == "names another class first"


def test_a_class_that_is_no_category_has_the_names_that_end_in_it(tokenizer):
    retriever = PromptChecker("retriever", {"retriever": ("retriever",)}, tokenizer, 1.0)
    assert retriever.reason("a golden retriever on a hill") == ""
    assert retriever.reason("a retriever trainer on a hill") == MODIFIER
