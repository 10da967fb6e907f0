"""A backbone's tokenizer, and where a prompt names its category. Imports no torch."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UserError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


@lru_cache(maxsize=2)
def load_tokenizer(folder: Path) -> "CLIPTokenizer":
    """The tokenizer of a checked backbone's folder. Imports no torch."""
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # of json, of the file system, and a bare Exception of the tokenizers library
        raise UserError(f"backbone {folder}: tokenizer/ cannot be read ({error}); fetch it again") from error


def category_span(tokenizer: "CLIPTokenizer", prompt: str, category: str) -> list[int]:
    """Positions of the category's first occurrence in the prompt's padded token sequence (the start token is 0).

    The category's byte-pair tokens are sought as a run among the prompt's (DAAM's rule, first occurrence only),
    ignoring case and never from within a word: "cat" is not in "bobcat". A category absent from the prompt, or behind
    the tokenizer's truncation, is a UserError.

    An empty category in an empty prompt, which the paper's ablation without a prior asks for, has no word of its own:
    its positions are all those after the start token, the end token's and the padding's, where words would stand.
    """
    if not prompt and not category:
        return list(range(1, tokenizer.model_max_length))
    words = tokenizer(category.lower(), add_special_tokens=False).input_ids
    tokens = tokenizer(prompt.lower(), add_special_tokens=False, verbose=False).input_ids
    begins = [True, *(piece.endswith("</w>") for piece in tokenizer.convert_ids_to_tokens(tokens))]  # a word, here
    starts = (i for i in range(len(tokens) - len(words) + 1) if begins[i] and tokens[i : i + len(words)] == words)
    start = next(starts, None) if words else None
    if start is None:
        raise UserError(f"prompt: expected one that names its category {category!r}, got {prompt!r}; add the word")
    room = tokenizer.model_max_length - 2  # the start and end tokens
    if start + len(words) > room:
        raise UserError(
            f"prompt: category {category!r} stands behind the {room} tokens that are read of {prompt!r}; shorten it"
        )
    return [1 + start + i for i in range(len(words))]
