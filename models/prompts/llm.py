"""Prompts from a language model: the request, its answer, what it may cost, and what went wrong in words.

Talks to anything that speaks OpenAI's chat completions, by the `openai` package, whose own retries are used: 408, 409,
429, 5xx, time-outs and lost connections are tried again after a wait that doubles from 0.5 s to 8 s, less up to a
quarter of it at random, or after the server's own Retry-After of up to two minutes. What comes back is untrusted text
(models/prompts/checks.py). Knows nothing of where it is kept. Importing it imports no torch.
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

PROMPT_VERSION = 1  # of the wording below; with the model it is a prompt's provenance
TAKEN = 20  # prompts of the class that a request shows, for others to be written
LONGEST_REQUEST = TAKEN * LONGEST  # tokens that showing them may take
OVERHEAD = 200  # tokens that a request may take beside the bytes of its texts

SYSTEM = """You write prompts for a text-to-image model, to make photographs of one main object each.
Write English, one line a prompt, 8 to 25 words: the object first, then the scene, the lighting, the viewpoint and the \
style, as in "a dog on a wet beach, soft morning light, seen from a low angle, realistic photograph".
Name the object in each by one of the given words, in the singular. Show one such object, large, and nothing else that \
draws attention: no other animals, people or things beside it.
Let the prompts differ in scene, light, viewpoint and style. No numbering, no markup, no quotation marks."""


class Prompts(BaseModel):
    """What an answer has to be."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompts: list[str] = Field(min_length=1, max_length=1000)


@dataclass(frozen=True)
class Wanted:
    """What a request asks for: `number` prompts of a class, by its phrases, unlike those `taken`.

    `vocabulary` is the only words there may be; empty where all may.
    """

    category: str
    phrases: tuple[str, ...]
    number: int
    taken: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """Prompts as they came, not yet checked, or the problem; and the tokens that were paid for."""

    prompts: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    problem: str = ""


class Meter(Protocol):
    """Told of every attempt before it is sent, and whether it can have cost anything."""

    def open(self) -> None:
        """An attempt is about to be sent; raise to keep it from being sent."""

    def free(self) -> None:
        """The attempt under way cost nothing: it did not arrive, or was refused."""


def source_of(config: PromptConfig) -> str:
    """Provenance of a prompt that is asked for under `config`."""
    return f"{config.model}/prompt v{PROMPT_VERSION}"


def usable_key(text: str, where: str) -> str | None:
    """An endpoint's key as text that was read from `where`; None for none, UserError for what no key can be."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"prompts.secret: {where} holds line breaks or letters that no key has; copy the key again")
    return key or None


def no_key(config: PromptConfig) -> str:
    """What to say where a model is to be asked and there is no key."""
    return (
        f"prompts.source: {config.model} is to write prompts and there is no key; set OPENAI_API_KEY (any word where "
        "the endpoint asks for none), or prompts.secret, or prompts.source=grammar for the built-in grammar"
    )


def open_client(config: PromptConfig, key: str, meter: Meter) -> OpenAI:
    """A client whose every attempt, the retries' too, goes through `meter`. Reads OPENAI_BASE_URL where none is set."""
    return OpenAI(
        api_key=key,
        base_url=config.base_url,
        timeout=config.timeout,
        max_retries=config.attempts - 1,
        http_client=_MeteredClient(meter, timeout=config.timeout),
    )


def ask(client: OpenAI, config: PromptConfig, wanted: Wanted) -> Answer:
    """Ask once, with retries. UserError names the setting to mend where the endpoint gives no answer at all.

    An answer that is no answer (cut off, not the JSON asked for, refused) is paid for, and is one with a problem.
    """
    texts = messages(wanted)
    most_in, most_out = bounds(config, wanted)
    form: Any = {"type": "json_object"} if config.structured == "json_object" else _schema()
    try:
        completion: Any = client.chat.completions.create(
            model=config.model or "", messages=texts, response_format=form, max_completion_tokens=config.max_answer
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
    """The chat that asks for it."""
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
    """The most tokens a request can take, in and out: a token is a byte of text or more."""
    texts = [message["content"] for message in messages(wanted)] + [json.dumps(_schema())]
    return sum(len(text.encode()) for text in texts) + OVERHEAD, config.max_answer


def explain(error: openai.OpenAIError, config: PromptConfig, client: OpenAI) -> str:
    """One line: what happened, and the setting to mend."""
    url, tries = str(client.base_url), f"after {config.attempts} attempts"
    said = _one_line(str(getattr(error, "message", error)).replace(client.api_key, "***"))
    key = f"the Secret block prompts.secret={config.secret}" if config.secret else "OPENAI_API_KEY"
    match error:
        case openai.APITimeoutError():
            return f"prompts.timeout: {url} did not answer within {config.timeout:g} s {tries}; raise it, or try later"
        case openai.APIConnectionError():
            cause = _one_line(str(error.__cause__ or said))
            return (
                f"prompts.base_url: {url} cannot be reached ({cause}); check it, or OPENAI_BASE_URL where it is unset"
            )
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"prompts: {url} refuses the key ({error.status_code}: {said}); check {key}"
        case openai.NotFoundError():
            return f"prompts.model: {url} has none named {config.model} (404: {said}); check it and prompts.base_url"
        case openai.RateLimitError():
            return f"prompts.attempts: {url} still limits the rate {tries} ({said}); try later, or raise it"
        case openai.InternalServerError():
            return f"prompts.base_url: {url} fails {tries} ({error.status_code}: {said}); try later, or check it"
        case openai.APIStatusError():
            return (
                f"prompts.structured: {url} refuses the request ({error.status_code}: {said}); where it knows no "
                "JSON schemas, set it to json_object"
            )
    return f"prompts: {url} gives no answer ({type(error).__name__}: {said}); check prompts.base_url"


class _MeteredClient(DefaultHttpxClient):
    """An HTTP client that tells a meter of every attempt."""

    def __init__(self, meter: Meter, **options: Any):
        super().__init__(**options)
        self._meter = meter

    def send(self, request: Any, **options: Any) -> Any:
        self._meter.open()
        try:
            response = super().send(request, **options)
        except Exception as error:
            # By name, for the library beneath is httpx or its successor, as openai chooses. A time-out may be paid for.
            if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
                self._meter.free()
            raise
        if response.is_error:
            self._meter.free()
        return response


def _schema() -> dict[str, Any]:
    """Structured output: strict mode knows no lengths of lists."""
    schema = {
        "type": "object",
        "properties": {"prompts": {"type": "array", "items": {"type": "string"}}},
        "required": ["prompts"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "prompts", "strict": True, "schema": schema}}


def _tokens(completion: Any, name: str, most: int) -> int:
    """Tokens that the answer says it took; the bound where it says nothing that can be believed."""
    count = getattr(getattr(completion, "usage", None), name, None)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**40 else most


def _one_line(text: str, limit: int = 160) -> str:
    """Text of a server as one printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * limit]).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
