"""Prompts from a language model: the request, its answer, its largest cost, and error messages.

Works with any endpoint of OpenAI's chat completions, through the `openai` package and its retries: 408, 409, 429, 5xx,
time-outs and lost connections are retried after a wait that doubles from 0.5 s to 8 s, less up to a quarter of it at
random, or after the server's Retry-After of up to two minutes. The answers are untrusted text
(models/prompts/checks.py). Knows nothing of the store. Importing it imports no torch.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

import openai
from openai import DefaultHttpxClient, OpenAI
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.config.prompts import PromptConfig
from models.errors import UserError
from models.prompts.checks import LONGEST

PROMPT_VERSION = 1  # version of the wording below; with the model's name it is a prompt's provenance
TAKEN = 20  # existing prompts of the class that a request shows, so that the new ones differ
LONGEST_REQUEST = TAKEN * LONGEST  # largest number of tokens of the shown prompts
OVERHEAD = 200  # largest number of tokens of a request beside the bytes of its texts

SYSTEM = """You write prompts for a text-to-image model, to make photographs of one main object each.
Write English, one line a prompt, 8 to 25 words: the object first, then the scene, the lighting, the viewpoint and the \
style, as in "a dog on a wet beach, soft morning light, seen from a low angle, realistic photograph".
Name the object in each by one of the given words, in the singular. Show one such object, large, and nothing else that \
draws attention: no other animals, people or things beside it.
Let the prompts differ in scene, light, viewpoint and style. No numbering, no markup, no quotation marks."""


class Prompts(BaseModel):
    """The JSON that an answer must be."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompts: list[str] = Field(min_length=1, max_length=1000)


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
class Answer:
    """The unchecked prompts of an answer, or its problem; and the tokens that were paid for."""

    prompts: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    problem: str = ""


class Meter(Protocol):
    """Counts every attempt before it is sent, and those that cost nothing."""

    def open(self) -> None:
        """An attempt is about to be sent; raising an exception prevents it."""

    def free(self) -> None:
        """The current attempt cost nothing: it did not arrive, or was refused."""


def source_of(config: PromptConfig) -> str:
    """Provenance of a prompt that is requested with `config`."""
    return f"{config.model}/prompt v{PROMPT_VERSION}"


def usable_key(text: str, where: str) -> str | None:
    """An endpoint's key from text that was read from `where`; None if empty, UserError if it cannot be a key."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"prompts.secret: {where} contains line breaks or characters that no key has; copy the key again"
        )
    return key or None


def no_key(config: PromptConfig) -> str:
    """The error message if a model must be asked and there is no key."""
    return (
        f"prompts.source: {config.model} needs a key to write prompts, and there is none; set OPENAI_API_KEY (to any "
        "word if the endpoint needs no key), or prompts.secret, or prompts.source=grammar for the built-in grammar"
    )


def open_client(config: PromptConfig, key: str, meter: Meter) -> OpenAI:
    """A client that reports every attempt, also retries, to `meter`. Reads OPENAI_BASE_URL if base_url is not set."""
    return OpenAI(
        api_key=key,
        base_url=config.base_url,
        timeout=config.timeout,
        max_retries=config.attempts - 1,
        http_client=_MeteredClient(meter, timeout=config.timeout),
    )


def ask(client: OpenAI, config: PromptConfig, wanted: Wanted) -> Answer:
    """Ask once, with retries. If the endpoint does not answer, the UserError names the setting to change.

    An unusable answer (truncated, not the JSON asked for, refused) was paid for; it is returned with its problem.
    """
    texts = messages(wanted)
    most_in, most_out = bounds(config, wanted)
    response_format: Any = {"type": "json_object"} if config.structured == "json_object" else _schema()
    try:
        completion: Any = client.chat.completions.create(
            model=config.model or "",
            messages=texts,
            response_format=response_format,
            max_completion_tokens=config.max_answer,
        )
    except openai.APIResponseValidationError:
        return Answer((), most_in, most_out, "no chat completion")
    except openai.OpenAIError as error:
        raise UserError(explain(error, config, client)) from None
    except json.JSONDecodeError:
        return Answer((), most_in, most_out, "no chat completion")
    used = (_tokens(completion, "prompt_tokens", most_in), _tokens(completion, "completion_tokens", most_out))
    try:
        content = completion.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        return Answer((), *used, "no chat completion")
    if not isinstance(content, str) or not content.strip():
        return Answer((), *used, "an empty answer")
    try:
        return Answer(tuple(Prompts.model_validate_json(content).prompts), *used)
    except ValidationError:
        return Answer((), *used, "not the JSON asked for")


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
    texts = [message["content"] for message in messages(wanted)] + [json.dumps(_schema())]
    return sum(len(text.encode()) for text in texts) + OVERHEAD, config.max_answer


def explain(error: openai.OpenAIError, config: PromptConfig, client: OpenAI) -> str:
    """One line: what happened, and the setting to change."""
    url, tries = str(client.base_url), f"after {config.attempts} attempts"
    said = _one_line(str(getattr(error, "message", error)).replace(client.api_key, "***"))
    key = f"the Secret block prompts.secret={config.secret}" if config.secret else "OPENAI_API_KEY"
    match error:
        case openai.APITimeoutError():
            return f"prompts.timeout: {url} did not answer within {config.timeout:g} s {tries}; raise it, or try later"
        case openai.APIConnectionError():
            cause = _one_line(str(error.__cause__ or said))
            return f"prompts.base_url: {url} cannot be reached ({cause}); check it, or OPENAI_BASE_URL if it is not set"
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"prompts: {url} refuses the key ({error.status_code}: {said}); check {key}"
        case openai.NotFoundError():
            return f"prompts.model: {url} has no model {config.model} (404: {said}); check it and prompts.base_url"
        case openai.RateLimitError():
            return f"prompts.attempts: {url} still limits the rate {tries} ({said}); try later, or raise it"
        case openai.InternalServerError():
            return f"prompts.base_url: {url} fails {tries} ({error.status_code}: {said}); try later, or check it"
        case openai.APIStatusError():
            return (
                f"prompts.structured: {url} refuses the request ({error.status_code}: {said}); if it does not support "
                "JSON schemas, set it to json_object"
            )
    return f"prompts: {url} does not answer ({type(error).__name__}: {said}); check prompts.base_url"


class _MeteredClient(DefaultHttpxClient):
    """An HTTP client that reports every attempt to a meter."""

    def __init__(self, meter: Meter, **options: Any):
        super().__init__(**options)
        self._meter = meter

    def send(self, request: Any, **options: Any) -> Any:
        self._meter.open()
        try:
            response = super().send(request, **options)
        except Exception as error:
            # By name, because openai may use httpx or its successor. Other time-outs may have been paid for.
            if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
                self._meter.free()
            raise
        if response.is_error:
            self._meter.free()
        return response


def _schema() -> dict[str, Any]:
    """The response format for structured output; strict mode does not support lengths of lists."""
    schema = {
        "type": "object",
        "properties": {"prompts": {"type": "array", "items": {"type": "string"}}},
        "required": ["prompts"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "prompts", "strict": True, "schema": schema}}


def _tokens(completion: Any, name: str, most: int) -> int:
    """The number of tokens that the answer reports; `most` if it reports none or an implausible number."""
    count = getattr(getattr(completion, "usage", None), name, None)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**40 else most


def _one_line(text: str, limit: int = 160) -> str:
    """A server's text as one printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * limit]).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
