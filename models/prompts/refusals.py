"""Refused requests: another form of the request that the endpoint may accept, or what to tell the user.

Servers of OpenAI's chat completions know different fields of it, and say so in bodies of different forms.
Knows nothing of answers.
"""

import re
from dataclasses import replace

import openai

from models.config.prompts import PromptConfig
from models.prompts.endpoint import SPENT, Client
from models.prompts.error_text import about, one_line, words_of
from models.prompts.request import FORMATS, LIMITS, Form

LEAST = 256  # tokens of an answer below which the limit is not lowered
TOO_LONG = re.compile(
    r"context.?(length|size|window)|max_model_len|exceed_context|prompt is too long|reduce the length|"
    r"max_\w*tokens\b.{0,80}(too large|at most|<=|> ?\d|less than|exceed|maximum|valid range)|"
    r"maximum.{0,40}(output|completion) tokens",
    re.IGNORECASE,
)
TOO_SHORT = re.compile(r"higher max_|(max_\w*tokens|output) limit was reached", re.IGNORECASE)
FORMAT = re.compile(r"response.?format|json|schema|grammar|guided|structured|additionalProperties", re.IGNORECASE)
CONTENT = re.compile(r"content.?(filter|management|policy)|moderation", re.IGNORECASE)
MODEL = re.compile(r"\bmodels?\b|\bengine\b|model_not_found", re.IGNORECASE)
KEY = re.compile(r"api.?key|unauthori[sz]ed", re.IGNORECASE)
CREDIT = re.compile(rf"{SPENT}|insufficient.(balance|credit|fund)|credit balance|billing_|payment", re.IGNORECASE)


def other_forms(error: openai.APIStatusError, form: Form) -> list[Form]:
    """Forms in which a refused request may be accepted, by what the server says; [] if it does not name its form."""
    reason = about(error.response.text)
    if error.status_code in (401, 403, 429) or any(p.search(reason) for p in (TOO_SHORT, CONTENT, CREDIT)):
        return []
    if TOO_LONG.search(reason):
        return [replace(form, most=form.most // 2)] if form.most // 2 >= LEAST else []
    if form.limit in reason:
        return [_with_other_limit(form)]
    return _looser(form) if FORMAT.search(reason) else []


def guessed_forms(error: openai.APIStatusError, form: Form) -> list[Form]:
    """Forms to try after a bad request without a known reason; [] if it is known."""
    reason = about(error.response.text)
    known = (TOO_SHORT, TOO_LONG, CONTENT, CREDIT, MODEL, KEY)
    if error.status_code not in (400, 422) or any(pattern.search(reason) for pattern in known):
        return []
    other = _with_other_limit(form)
    return [other, *_looser(other)]


def _with_other_limit(form: Form) -> Form:
    return replace(form, limit=LIMITS[1 - LIMITS.index(form.limit)])


def _looser(form: Form) -> list[Form]:
    return [replace(form, format=name) for name in FORMATS[FORMATS.index(form.format) + 1 :]]


def explain(error: openai.OpenAIError, config: PromptConfig, client: Client) -> str:
    """One line: what happened, in the server's words, and the setting to change."""
    url = str(client.base_url)
    if isinstance(error, openai.APITimeoutError):
        tries = f"after {config.attempts} attempts"
        return f"prompts.timeout: {url} did not answer within {config.timeout:g} s {tries}; raise it, or try later"
    if isinstance(error, openai.APIConnectionError):
        cause = one_line(str(error.__cause__ or error))
        return f"prompts.base_url: {url} cannot be reached ({cause}); check it, or OPENAI_BASE_URL if it is not set"
    if isinstance(error, openai.APIStatusError):
        words = words_of(error.response.text, client.api_key)
        said = f"({error.status_code}: {words or 'without a reason'})"
        return _of_reason(error, url, said, config) or _of_status(error.status_code, url, said, config)
    return f"prompts: {url} does not answer ({type(error).__name__}: {one_line(str(error))}); check prompts.base_url"


def _of_reason(error: openai.APIStatusError, url: str, said: str, config: PromptConfig) -> str:
    """The line for a reason that the server gives in words or in a code; '' if it gives none that is known."""
    reason = about(error.response.text)
    if error.status_code == 402 or CREDIT.search(reason):
        return f"prompts.base_url: the account at {url} has no credit left {said}; top it up, or use another endpoint"
    if error.status_code in (401, 403, 404, 429):
        return ""
    if TOO_SHORT.search(reason):
        return f"prompts.max_answer: {url} finds {config.max_answer} tokens too few for an answer {said}; raise it"
    if TOO_LONG.search(reason):
        return (
            f"prompts.max_answer: {url} cannot give {config.max_answer} tokens of answer beside the request {said}; "
            "lower it, or give the model a longer context"
        )
    if CONTENT.search(reason):
        return f"prompts.model: {url} refuses the request's content {said}; try another model, or rename the class"
    return ""


def _of_status(status: int, url: str, said: str, config: PromptConfig) -> str:
    """The line for a refusal without a known reason."""
    tries = f"after {config.attempts} attempts"
    if status in (401, 403) or (status == 400 and KEY.search(said)):
        key = f"the Secret block prompts.secret={config.secret}" if config.secret else "OPENAI_API_KEY"
        return f"prompts: {url} refuses the key {said}; check {key}"
    if status == 429:
        return f"prompts.attempts: {url} still limits the rate {tries} {said}; try later, or raise it"
    if status >= 500:
        return f"prompts.base_url: {url} fails {tries} {said}; try later, or check it"
    if MODEL.search(said):
        return f"prompts.model: {url} refuses {config.model} {said}; check it and prompts.base_url"
    if status in (404, 405):
        return (
            f"prompts.base_url: {url} has no chat completions {said}; check it: most end in /v1, Azure's name a "
            "deployment; or check prompts.model"
        )
    return (
        f"prompts: {url} refuses the request {said}, whether prompts.structured is json_schema, json_object or none; "
        "check prompts.model and prompts.base_url"
    )
