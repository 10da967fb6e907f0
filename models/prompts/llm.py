"""Prompts from a language model: ask an endpoint of OpenAI's chat completions, in the form that it understands.

The answers are untrusted text (models/prompts/checks.py). Knows nothing of the store. Importing it imports no torch.
"""

import json
import logging
from dataclasses import replace
from typing import Any

import openai

from models.config.prompts import PromptConfig
from models.errors import UserError
from models.prompts.answers import Answer, no_completion, read_answer
from models.prompts.endpoint import Client, Meter, open_client
from models.prompts.refusals import explain, guessed_forms, other_forms
from models.prompts.request import LIMITS, PROMPT_VERSION, Form, Wanted, bounds, messages

__all__ = ["Answer", "Client", "Meter", "Wanted", "ask", "bounds", "open_client", "source_of"]

logger = logging.getLogger(__name__)


def source_of(config: PromptConfig) -> str:
    """Provenance of a prompt that is requested with `config`."""
    return f"{config.model}/prompt v{PROMPT_VERSION}"


def ask(client: Client, config: PromptConfig, wanted: Wanted) -> Answer:
    """Ask once, with retries. If the endpoint does not answer, the UserError names the setting to change.

    A request that is refused for its form is sent again in another; the client keeps the one that is accepted.
    An unusable answer (truncated, not the JSON asked for, refused) was paid for; it is returned with its problem.
    """
    most, before = bounds(config, wanted), client.form
    try:
        completion = _completion(client, config, messages(wanted))
    except openai.APIResponseValidationError as error:
        return no_completion(error.body, most)
    except json.JSONDecodeError as error:
        return no_completion(error.doc, most)
    except openai.OpenAIError as error:
        raise UserError(explain(error, config, client)) from None
    if client.form.most < before.most:
        logger.warning(
            "maskmill: prompts.max_answer: %s refuses %d tokens of answer, and gives at most %d from here on",
            client.base_url, before.most, client.form.most,
        )  # fmt: skip
    answer = read_answer(completion, client.form.most, most)
    if answer.cut_early:  # the endpoint may not know the limit by this name, and have one of its own
        client.form = replace(client.form, limit=LIMITS[1])
    return answer


def _completion(client: Client, config: PromptConfig, texts: list[Any]) -> Any:
    """The completion, in the first form that is accepted; the error of the refusal that no form mends."""
    tried: set[Form] = set()
    without_reason: openai.APIStatusError | None = None
    while True:
        tried.add(client.form)
        try:
            return client.chat.completions.create(model=config.model or "", messages=texts, **client.form.fields())
        except openai.APIStatusError as error:
            forms = other_forms(error, client.form)
            if not forms and (forms := guessed_forms(error, client.form)):
                without_reason = without_reason or error
            form = next((form for form in forms if form not in tried), None)
            if form is None:  # what a guess was refused for is not the reason
                raise without_reason or error from None
            logger.info("%s refuses %s; trying %s", client.base_url, client.form, form)
            client.form = form
