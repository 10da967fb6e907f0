"""pocket's words: a small byte-pair vocabulary in CLIP's file format. Knows nothing of images or networks.

Every word of the captions is one token, but the classes in SPLIT, which take two: real backbones have such
classes, so pocket has them too.
"""

from functools import cache

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from models.classes.pocket import CLASSES, FUNCTION_WORDS, LOOKS

CONTEXT_LENGTH = 32  # Stable Diffusion's is 77; pocket's longest caption takes 20
SPLIT = {"arrow": ("arr", "ow"), "flower": ("flow", "er"), "mushroom": ("mush", "room")}
START, STOP, END_OF_WORD = "<|startoftext|>", "<|endoftext|>", "</w>"


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """Byte-pair merges that build every known word, letter by letter, and stop short of joining SPLIT's halves."""
    words = [w for w in (*FUNCTION_WORDS, *CLASSES, *LOOKS) if w not in SPLIT]
    found: list[tuple[str, str]] = []
    for head, tail in SPLIT.values():
        _learn(list(head), found)
        _learn([*tail[:-1], tail[-1] + END_OF_WORD], found)
    for word in words:
        _learn([*word[:-1], word[-1] + END_OF_WORD], found)
    return tuple(found)


def _learn(pieces: list[str], found: list[tuple[str, str]]) -> None:
    """Append to `found` the merges still missing to join `pieces`; known merges are applied first, in their order."""
    for pair in found:
        pieces = _join(pieces, pair)
    while len(pieces) > 1:
        pair = (pieces[0], pieces[1])
        found.append(pair)
        pieces = _join(pieces, pair)


def _join(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


@cache
def tokens() -> dict[str, int]:
    """Token -> id: the byte alphabet, the same at a word's end, the merged pieces, start and stop."""
    alphabet = sorted(ByteLevel.alphabet())
    names = [*alphabet, *(a + END_OF_WORD for a in alphabet), *dict.fromkeys("".join(m) for m in merges()), START, STOP]
    return {name: i for i, name in enumerate(names)}


def vocabulary_size() -> int:
    """Number of tokens."""
    return len(tokens())


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer over pocket's vocabulary, padding to 32 tokens."""
    return CLIPTokenizer(vocab=tokens(), merges=[*merges()], model_max_length=CONTEXT_LENGTH)
