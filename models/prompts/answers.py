"""An endpoint's answer: the prompts in it, or what is wrong with it and what mends that; and the tokens it took.

Models wrap the JSON that they are asked for: in a code fence, in talk, after their reasoning, in parts, as a bare list.
Knows nothing of requests that are refused (models/prompts/refusals.py) or of what makes a prompt good.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field

from models.prompts.error_text import words_of
from models.prompts.typography import plain_form

CUT_OFF = ("length", "max_tokens", "model_length")  # what endpoints call an answer that reached a limit
REASONED = re.compile(r"</(?:\w+:)?(?:think|thinking|thought|reasoning)\s*>|\[/THINK\]|◁/think▷", re.IGNORECASE)
REASONS = re.compile(r"<(?:\w+:)?(?:think|thinking|thought|reasoning)\s*>|\[THINK\]|◁think▷", re.IGNORECASE)
OPENINGS = 1000  # brackets at which JSON is looked for, at most
NO_COMPLETION = "check prompts.base_url: most end in /v1"


class Prompts(BaseModel):
    """The JSON that an answer must be."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompts: list[str] = Field(min_length=1, max_length=1000)


@dataclass(frozen=True)
class Answer:
    """The prompts of an answer, in plain form and unchecked, and the tokens that were paid for.

    problem: what is wrong with it, '' if nothing. mend: what to change, '' if no setting mends it. cut_early: it was
    cut off before the limit that the request set, which the endpoint may not know by that name.
    """

    prompts: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    problem: str = ""
    mend: str = ""
    cut_early: bool = False


def read_answer(completion: Any, limit: int, most: tuple[int, int]) -> Answer:
    """The answer in a chat completion of the openai package.

    limit: tokens of an answer that were allowed. most: tokens of the request and of the answer to count if it reports
    none, or an implausible number.
    """
    used = (_tokens(completion, "prompt_tokens", most[0]), _tokens(completion, "completion_tokens", most[1]))
    try:
        choice = completion.choices[0]
        message = choice.message
        content = message.content
    except (AttributeError, IndexError, TypeError):
        return no_completion(getattr(completion, "error", completion), used)
    text, reasons = _without_reasoning(_text(content))
    reasoning = _text(getattr(message, "reasoning_content", None)) or _text(getattr(message, "reasoning", None))
    is_cut = str(choice.finish_reason).lower() in CUT_OFF
    if not text.strip() and not is_cut:
        text = _without_reasoning(reasoning)[0]  # where vLLM's reasoning parsers put an answer without reasoning
    prompts = tuple(map(plain_form, prompts_in(text) or (_complete_in(text) if is_cut else ())))
    if is_cut:
        return _cut_off(prompts, used, limit, reasons or (not text.strip() and bool(reasoning)), bool(text.strip()))
    if prompts:
        return Answer(prompts, *used)
    return Answer((), *used, *_problem(choice, text))


def no_completion(body: Any, used: tuple[int, int]) -> Answer:
    """The answer to something that is not a chat completion: an error, a page, a stream."""
    if isinstance(body, str) and body.lstrip().startswith(("data:", "event:")):
        return Answer((), *used, "no chat completion but a stream, which was not asked for", NO_COMPLETION)
    words = words_of(body) if isinstance(body, (str, dict)) else ""
    return Answer((), *used, f"no chat completion{f' ({words})' if words else ''}", NO_COMPLETION)


def prompts_in(text: str) -> tuple[str, ...]:
    """The prompts of the last JSON in the text that is a list of them; () if there is none."""
    lists, singles = [], []
    for value in _values(text):
        if isinstance(value, dict) and isinstance(value.get("prompt"), str):
            singles.append(value)
        elif prompts := _prompts_of(value):
            lists.append(prompts)
    return lists[-1] if lists else _prompts_of(singles)


def _problem(choice: Any, text: str) -> tuple[str, str]:
    """What is wrong with an answer without prompts, and what to change."""
    if refusal := getattr(choice.message, "refusal", None):
        return f"a refusal ({words_of(refusal)})", ""
    if choice.finish_reason == "content_filter":
        return "withheld by the endpoint's content filter", ""
    if error := words_of(getattr(choice, "error", None)):
        return f"an error ({error})", ""
    return ("not the JSON asked for" if text.strip() else "an empty answer"), ""


def _cut_off(prompts: tuple[str, ...], used: tuple[int, int], limit: int, reasoning: bool, has_text: bool) -> Answer:
    """An answer that reached a limit: the prompts before the cut are as good as any."""
    early = used[1] < 0.9 * limit
    place = f"after {used[1]} tokens" if early else "at prompts.max_answer"
    begun = "" if prompts else "not the JSON asked for: " if has_text else "an empty answer: "
    problem = f"{begun}cut off {place}{', while it reasoned' if reasoning else ''}"
    mend = "lower prompts.per_request, or give the model a longer context" if early else "raise prompts.max_answer"
    return Answer(prompts, *used, problem, mend, cut_early=early)


def _text(content: Any) -> str:
    """The text of a message's content, which may come in parts; parts of reasoning are left out."""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content if isinstance(content, list) else []
    shown = [part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, (str, dict))]
    return "".join(text for text in shown if isinstance(text, str))


def _without_reasoning(text: str) -> tuple[str, bool]:
    """The text after the reasoning in it, and whether the reasoning has no end."""
    text = REASONED.split(text)[-1]
    before, *unfinished = REASONS.split(text)
    return before, bool(unfinished)


def _values(text: str) -> Iterator[Any]:
    """The JSON objects and lists in a text, in order, not those within others."""
    decoder, start = json.JSONDecoder(strict=False), 0
    for _ in range(OPENINGS):
        if not (opening := re.compile(r"[\[{]").search(text, start)):
            return
        try:
            value, start = decoder.raw_decode(text, opening.start())
            yield value
        except (ValueError, RecursionError):
            start = opening.end()


def _prompts_of(value: Any) -> tuple[str, ...]:
    """The prompts of a JSON value: {"prompts": [...]}, or the list alone, of texts or of objects with a prompt."""
    given = value["prompts"] if isinstance(value, dict) and value.keys() == {"prompts"} else value
    if not isinstance(given, list):
        return ()
    texts = [item.get("prompt") if isinstance(item, dict) else item for item in given]
    try:
        prompts = Prompts.model_validate({"prompts": texts}).prompts
        "".join(prompts).encode()  # half a character of two cannot be stored
    except ValueError:
        return ()
    return tuple(prompts)


def _complete_in(text: str) -> tuple[str, ...]:
    """The prompts that JSON without its end has in full."""
    for opening in list(re.finditer(r"[\[{]", text))[:20]:
        try:
            value = pydantic_core.from_json(text[opening.start() :], allow_partial=True)
        except ValueError:
            continue
        if prompts := _prompts_of(value):
            return prompts
    return ()


def _tokens(completion: Any, name: str, most: int) -> int:
    """The number of tokens that the answer reports; `most` if it reports none or an implausible number."""
    count = getattr(getattr(completion, "usage", None), name, None)
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not 0 <= count < 2**40:
        return most
    return math.ceil(count)
