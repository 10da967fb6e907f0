"""A backbone's tokenizer, and the token positions of a category in a prompt. Imports no torch."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UserError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


@lru_cache(maxsize=4)
def load_tokenizer(folder: Path, part: str = "tokenizer") -> "CLIPTokenizer":
    """The tokenizer in a checked backbone's folder, `part` of it; UserError if it cannot be read. Imports no torch."""
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder / part, local_files_only=True)
    except Exception as error:  # from json, the file system, and a bare Exception from the tokenizers library
        raise UserError(f"backbone {folder}: {part}/ cannot be read ({error}); download it again") from error


def category_span(tokenizer: "CLIPTokenizer", prompt: str, category: str) -> list[int]:
    """Positions of the category's first occurrence in the prompt's padded token sequence (the start token is 0).

    The category's byte-pair tokens are searched as a run among the prompt's (DAAM's rule, first occurrence only),
    ignoring case and only from the start of a word: "cat" is not in "bobcat". UserError if the prompt does not contain
    the category, or only after the tokenizer's truncation.

    An empty category in an empty prompt, as in the paper's ablation without a prior, has no tokens: its positions are
    all those after the start token (the end token's and the padding's), where words would be.
    """
    if not prompt and not category:
        return list(range(1, tokenizer.model_max_length))
    words = tokenizer(category.lower(), add_special_tokens=False).input_ids
    tokens = tokenizer(prompt.lower(), add_special_tokens=False, verbose=False).input_ids
    # Whether a word starts at each token: after a word's end or a special token, as "!" is to Stable Diffusion 2.
    special, pieces = set(tokenizer.all_special_ids), tokenizer.convert_ids_to_tokens(tokens)
    ends_word = (piece.endswith("</w>") or token in special for piece, token in zip(pieces, tokens, strict=True))
    starts_word = [True, *ends_word]
    starts = (i for i in range(len(tokens) - len(words) + 1) if starts_word[i] and tokens[i : i + len(words)] == words)
    start = next(starts, None) if words else None
    if start is None:
        raise UserError(f"prompt: expected one that names its category {category!r}, got {prompt!r}; add the word")
    max_tokens = tokenizer.model_max_length - 2  # without the start and end tokens
    if start + len(words) > max_tokens:
        raise UserError(
            f"prompt: expected category {category!r} within the first {max_tokens} tokens, which are all that is read, "
            f"got {prompt!r}; shorten it"
        )
    return [1 + start + i for i in range(len(words))]
