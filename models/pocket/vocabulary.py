"""pocket's words: a small byte-pair vocabulary in CLIP's file format. Knows nothing of images or networks.

Every word of the captions is one token, except for the classes in SPLIT, which take two, because other backbones have
such classes too.
"""

from functools import cache

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from models.classes.pocket import CLASSES, FUNCTION_WORDS, LOOKS

CONTEXT_LENGTH = 32  # 77 in Stable Diffusion; pocket's longest caption takes 20
SPLIT = {"arrow": ("arr", "ow"), "flower": ("flow", "er"), "mushroom": ("mush", "room")}
START, STOP, END_OF_WORD = "<|startoftext|>", "<|endoftext|>", "</w>"


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """Byte-pair merges that build every known word letter by letter, but do not join the halves in SPLIT."""
    words = [w for w in (*FUNCTION_WORDS, *CLASSES, *LOOKS) if w not in SPLIT]
    pairs: list[tuple[str, str]] = []
    for head, tail in SPLIT.values():
        _learn(list(head), pairs)
        _learn([*tail[:-1], tail[-1] + END_OF_WORD], pairs)
    for word in words:
        _learn([*word[:-1], word[-1] + END_OF_WORD], pairs)
    return tuple(pairs)


def _learn(pieces: list[str], pairs: list[tuple[str, str]]) -> None:
    """Append to `pairs` the missing merges that join `pieces`; existing merges are applied first, in order."""
    for pair in pairs:
        pieces = _join(pieces, pair)
    while len(pieces) > 1:
        pair = (pieces[0], pieces[1])
        pairs.append(pair)
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
    """Token -> id: the byte alphabet, the same with the end-of-word mark, the merged pieces, start and stop."""
    alphabet = sorted(ByteLevel.alphabet())
    names = [*alphabet, *(a + END_OF_WORD for a in alphabet), *dict.fromkeys("".join(m) for m in merges()), START, STOP]
    return {name: i for i, name in enumerate(names)}


def vocabulary_size() -> int:
    """Number of tokens."""
    return len(tokens())


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with pocket's vocabulary, padding to 32 tokens."""
    return CLIPTokenizer(vocab=tokens(), merges=[*merges()], model_max_length=CONTEXT_LENGTH)
