"""Buy prompts from a language model, a request at a time, and plan samples: class, prompt and noise seed of each."""

import os
from typing import Any

import numpy as np

from models.backbone.protocol import BackboneFacts
from models.backbone.tokens import category_span, load_tokenizer
from models.config.prompts import PromptConfig
from models.errors import UserError
from models.prompts.budget import Tokens
from models.prompts.checks import LONGEST, PromptChecker, reasons
from models.prompts.grammar import Grammar
from storage.dataset.ledger import Ledger
from storage.dataset.prompt_store import accepted
from storage.dataset.shards import Fork, read_shard, write_shard
from storage.dataset.writer import DatasetWriter
from tasks.base import task

PATIENCE = 3  # requests for a class, one after the other, that may bring no prompt


@task(task_run_name="write-{category}")
def buy_prompts(
    writer: DatasetWriter, config: PromptConfig, grammar: Grammar, facts: BackboneFacts, category: str, number: int
) -> int:
    """Ask for prompts of a class until `number` more are accepted; each answer is committed. Returns how many were.

    UserError if the budget would be passed, the endpoint gives no answer, or requests bring nothing.
    """
    from models.prompts.llm import Wanted, no_key

    key = key_of(config)
    if key is None:
        raise UserError(no_key(config))
    store = writer.prompt_store("prompts")
    taken = store.loc[(store["category"] == category) & (store["reason"] == ""), "prompt"].tolist()
    words, tokenizer = grammar.vocabulary(category), load_tokenizer(facts.folder)
    checker = PromptChecker(category, grammar.phrases, tokenizer, config.max_overlap, taken, words)
    found, idle, problem = 0, 0, ""
    while found < number:
        if idle == PATIENCE:
            raise UserError(
                f"prompts.model: {PATIENCE} requests for {category!r} to {config.model} brought no prompt that can be "
                f"used ({problem}); try another model, raise prompts.max_overlap, or start anew with a lower "
                "prompts.per_class"
            )
        asked = min(number - found, config.per_request)
        wanted = Wanted(category, grammar.phrases[category], asked, tuple(taken), words)
        new, problem = _request(writer, config, key, wanted, checker)
        taken += new
        found, idle = found + len(new), 0 if new else idle + 1
    return found


def _request(
    writer: DatasetWriter, config: PromptConfig, key: str, wanted: Any, checker: PromptChecker
) -> tuple[list[str], str]:
    """The prompts accepted of one answer, which is committed, and in words what was wrong with the others."""
    from models.prompts.llm import ask, bounds, open_client, source_of

    ledger = Ledger(writer, config, wanted.category, Tokens(*bounds(config, wanted)))
    with open_client(config, key, ledger) as client:
        answer = ask(client, config, wanted)
    judged = [(text.strip(), checker.reason(text.strip())) for text in answer.prompts]
    rows = [{"prompt": text[: LONGEST + 1], "reason": why, "source": source_of(config)} for text, why in judged]
    ledger.close(Tokens(answer.input_tokens, answer.output_tokens), answer.problem, rows)
    return [text for text, why in judged if not why], answer.problem or reasons(why for _, why in judged)


def key_of(config: PromptConfig) -> str | None:
    """The key of the endpoint: of a Prefect Secret block where one is named, else of the environment; None for none."""
    from models.prompts.llm import usable_key

    if config.secret:
        return usable_key(_secret(config.secret), f"the Secret block {config.secret}")
    return usable_key(os.environ.get("OPENAI_API_KEY", ""), "OPENAI_API_KEY")


def _secret(name: str) -> str:
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]
    except ValueError as error:
        raise UserError(
            f"prompts.secret: Prefect has no Secret block named {name!r}; create it, or leave the setting out and put "
            "the key into OPENAI_API_KEY"
        ) from error


@task(name="plan")
def plan_samples(
    fork: Fork, shards: list[int], shard_size: int, grammar: Grammar, facts: BackboneFacts, bought: bool
) -> Fork:
    """Write the plan of the unplanned samples of `shards`, from bought prompts or not; returns the store fork.

    UserError if a prompt does not name its category within the backbone's context.
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
