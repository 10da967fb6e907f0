"""The request for prompts: what is wanted, its wording, its form, and the most tokens it can take.

Knows nothing of endpoints, of their answers or of the store.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from models.config.prompts import PromptConfig
from models.prompts.checks import LONGEST

PROMPT_VERSION = 1  # version of the wording below; with the model's name it is a prompt's provenance
TAKEN = 20  # existing prompts of the class that a request shows, so that the new ones differ
LONGEST_REQUEST = TAKEN * LONGEST  # largest number of tokens of the shown prompts
OVERHEAD = 200  # largest number of tokens of a request beside the bytes of its texts
LIMITS = ("max_completion_tokens", "max_tokens")  # OpenAI's newer models know only the first, many servers the second
FORMATS = ("json_schema", "json_object", "none")  # from the strictest

SYSTEM = """You write prompts for a text-to-image model, to make photographs of one main object each.
Write English, one line a prompt, 8 to 25 words: the object first, then the scene, the lighting, the viewpoint and the \
style, as in "a dog on a wet beach, soft morning light, seen from a low angle, realistic photograph".
Name the object in each by one of the given words, in the singular. Show one such object, large, and nothing else that \
draws attention: no other animals, people or things beside it.
Let the prompts differ in scene, light, viewpoint and style. No numbering, no markup, no quotation marks."""


@dataclass(frozen=True)
class Wanted:
    """The content of a request: `number` prompts of a class, named by its phrases, different from those `taken`.

    vocabulary: the only allowed words; any if empty.
    """

    category: str
    phrases: tuple[str, ...]
    number: int
    taken: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """The fields of a request that endpoints differ in: the limit of an answer's tokens, and the format asked for."""

    most: int
    format: str
    limit: str = LIMITS[0]

    @classmethod
    def of(cls, config: PromptConfig) -> Self:
        """The form that is tried first."""
        return cls(config.max_answer, config.structured)

    def fields(self) -> dict[str, Any]:
        """The fields by name."""
        limit = {self.limit: self.most}
        if self.format == "none":
            return limit
        return limit | {"response_format": schema() if self.format == "json_schema" else {"type": self.format}}


def messages(wanted: Wanted) -> list[Any]:
    """The chat messages of a request."""
    words = " or ".join(f'"{phrase}"' for phrase in wanted.phrases)
    lines = [f"Write {wanted.number} prompts for the object named by {words}."]
    if wanted.vocabulary:
        lines.append(f"Use only these words, and commas: {' '.join(wanted.vocabulary)}.")
    if wanted.taken:
        lines.append("There are these already; write others:")
        lines += wanted.taken[-TAKEN:]
    lines.append('Answer with JSON: {"prompts": ["...", ...]}')
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "\n".join(lines)}]


def bounds(config: PromptConfig, wanted: Wanted) -> tuple[int, int]:
    """The largest number of tokens of a request and of its answer: a token is at least one byte of text."""
    texts = [message["content"] for message in messages(wanted)] + [json.dumps(schema())]
    return sum(len(text.encode()) for text in texts) + OVERHEAD, config.max_answer


def schema() -> dict[str, Any]:
    """The response format for structured output; strict mode does not support lengths of lists."""
    content = {
        "type": "object",
        "properties": {"prompts": {"type": "array", "items": {"type": "string"}}},
        "required": ["prompts"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "prompts", "strict": True, "schema": content}}
