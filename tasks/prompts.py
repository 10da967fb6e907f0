"""Buy prompts from a language model, one request at a time, and plan samples: class, prompt and noise seed of each."""

import os
from typing import Any

import numpy as np

from models.backbone.protocol import BackboneFacts
from models.backbone.tokens import category_span, load_tokenizer
from models.config.prompts import PromptConfig
from models.errors import UserError
from models.prompts.budget import Tokens
from models.prompts.checks import LONGEST, UNNAMED, PromptChecker, reasons
from models.prompts.grammar import Grammar
from storage.dataset.ledger import Ledger
from storage.dataset.prompt_store import accepted
from storage.dataset.shards import Fork, read_shard, write_shard
from storage.dataset.writer import DatasetWriter
from tasks.base import task

PATIENCE = 3  # consecutive requests for a class that may give no usable prompt
OTHERWISE = "try another model, raise prompts.max_overlap, or start a new dataset with a lower prompts.per_class"
# The form of requests that an endpoint accepts, found out once for each process (models/prompts/llm.py).
_forms: dict[tuple[Any, ...], Any] = {}


@task(task_run_name="write-{category}")
def buy_prompts(
    writer: DatasetWriter, config: PromptConfig, grammar: Grammar, facts: BackboneFacts, category: str, number: int
) -> int:
    """Request prompts of a class until `number` more are accepted, and commit each answer; returns the number accepted.

    UserError if there is no key, the budget would be exceeded, the endpoint does not answer, or no prompt is usable.
    """
    from models.prompts.endpoint import no_key
    from models.prompts.request import Wanted

    key = key_of(config)
    if key is None:
        raise UserError(no_key(config))
    store = writer.prompt_store("prompts")
    taken = store.loc[(store["category"] == category) & (store["reason"] == ""), "prompt"].tolist()
    words, tokenizer = grammar.vocabulary(category), load_tokenizer(facts.folder)
    checker = PromptChecker(category, grammar.phrases, tokenizer, config.max_overlap, taken, words)
    num_accepted, idle, problem, mend = 0, 0, "", ""
    while num_accepted < number:
        if idle == PATIENCE:
            raise UserError(
                f"prompts.model: {PATIENCE} requests for {category!r} to {config.model} gave no usable prompt "
                f"({problem}); {mend or OTHERWISE}"
            )
        requested = min(number - num_accepted, config.per_request)
        wanted = Wanted(category, grammar.phrases[category], requested, tuple(taken), words)
        new, problem, mend = _request(writer, config, key, wanted, checker)
        taken += new
        num_accepted, idle = num_accepted + len(new), 0 if new else idle + 1
    return num_accepted


def _request(
    writer: DatasetWriter, config: PromptConfig, key: str, wanted: Any, checker: PromptChecker
) -> tuple[list[str], str, str]:
    """Send one request and commit its answer; returns the accepted prompts, what was wrong, and what mends it."""
    from models.prompts.llm import ask, bounds, open_client, source_of

    ledger = Ledger(writer, config, wanted.category, Tokens(*bounds(config, wanted)))
    with open_client(config, key, ledger) as client:
        endpoint = (str(client.base_url), config.model, config.structured, config.max_answer)
        client.form = _forms.get(endpoint, client.form)
        answer = ask(client, config, wanted)
        _forms[endpoint] = client.form
    judged = [(text, checker.reason(text)) for text in answer.prompts]
    rows = [{"prompt": text[: LONGEST + 1], "reason": why, "source": source_of(config)} for text, why in judged]
    ledger.close(Tokens(answer.input_tokens, answer.output_tokens), answer.problem, rows)
    new = [text for text, why in judged if not why]
    why = reasons(why for _, why in judged)
    return new, "; ".join(filter(None, (answer.problem, why))), answer.mend or _mend_of(why)


def _mend_of(why: str) -> str:
    """What to change if most prompts are rejected for this reason; '' if that depends."""
    if why.split(" ", 1)[-1].startswith(UNNAMED):
        return "give it words that the model uses, in phrases, or try another model"
    return ""


def key_of(config: PromptConfig) -> str | None:
    """The endpoint's key, from a Prefect Secret block if one is named, else from the environment; None if not set.

    UserError if the Secret block does not exist, or no server is configured that could have it.
    """
    from models.prompts.endpoint import usable_key

    if config.secret:
        return usable_key(_secret(config.secret), f"the Secret block {config.secret}")
    return usable_key(os.environ.get("OPENAI_API_KEY", ""), "OPENAI_API_KEY")


def _secret(name: str) -> str:
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    try:
        if url:
            return str(Secret.load(name).get())  # type: ignore[union-attr]
        problem = "no Prefect server is configured to have it; set PREFECT_API_URL to one"
    except ValueError:
        problem = f"Prefect has no Secret block named {name!r}; create it"
    except Exception as error:  # from Prefect and its HTTP library, which share no base error
        problem = f"{url} did not answer ({type(error).__name__}); start the server"
    raise UserError(f"prompts.secret: {problem}, or leave the setting out and set OPENAI_API_KEY to the key")


@task(name="plan")
def plan_samples(
    fork: Fork, shards: list[int], shard_size: int, grammar: Grammar, facts: BackboneFacts, bought: bool
) -> Fork:
    """Write the plan of the unplanned samples of `shards`; returns the store fork.

    bought: whether prompts come from the prompt store instead of the grammar.
    UserError if a prompt does not name its category within the backbone's context length.
    """
    prompt_store = accepted(fork) if bought else None
    tokenizer = load_tokenizer(facts.folder)
    for shard in shards:
        rows = np.flatnonzero(read_shard(fork, shard, ["prompt"])["prompt"] == "")
        planned = [grammar.plan(shard * shard_size + int(row), prompt_store) for row in rows]
        for sample in planned:
            category_span(tokenizer, sample.prompt, sample.phrase)
        names = ("category", "phrase", "prompt", "prompt_source", "seed")
        columns = {name: [getattr(sample, name) for sample in planned] for name in names}
        write_shard(fork, shard, columns, rows=rows)
    return fork
