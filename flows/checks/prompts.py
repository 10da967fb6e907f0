"""Checks of a build's prompts: who writes them (grammar or language model), and how many to buy at what cost."""

from pathlib import Path
from typing import Any

from models.config.build import BuildConfig
from models.config.prompts import PromptConfig
from models.errors import UserError
from models.prompts.budget import Tokens, check_budget, cost
from models.prompts.grammar import Grammar
from storage.dataset.ledger import spent
from storage.dataset.prompt_store import lacking, no_rows
from storage.dataset.reader import open_dataset
from storage.dataset.repository import is_dataset
from tasks.prompts import key_of


def with_author(prompts: PromptConfig, out: Path) -> PromptConfig:
    """The config with `source` decided.

    'auto' keeps the source of an existing dataset; a new dataset uses the model if one is named and there is a key.
    UserError if the source is a model and none is named.
    """
    if prompts.source == "llm" and prompts.model is None:
        raise UserError("prompts.source: llm needs a model; name it, as in --set prompts.model=gpt-5-mini")
    changes: dict[str, Any] = {}
    if prompts.source == "grammar":
        changes = {"source": "auto", "model": None}  # one spelling, so that identities compare equal
    elif prompts.source == "auto" and prompts.model is not None:
        changes = {"source": _begun_by(out, prompts.model) or ("llm" if key_of(prompts) else "grammar")}
    return prompts.model_copy(update=changes)


def _begun_by(out: Path, model: str) -> str | None:
    """The prompt source of the dataset at `out`; None if there is no dataset or it names another model."""
    if not is_dataset(out):
        return None
    stored = BuildConfig.of_stored(open_dataset(out, "build").config).prompts
    return stored.source if stored.model == model else None


def prompts_lacking(grammar: Grammar, count: int, out: Path) -> dict[str, int]:
    """Number of prompts to buy for each class that has too few for the dataset at `out` to reach its count."""
    bought = open_dataset(out, "build").prompt_store("prompts") if is_dataset(out) else no_rows("prompts")
    return lacking(bought, grammar.prompts_needed(count))


def describe_prompts(prompts: PromptConfig, grammar: Grammar, count: int, out: Path) -> str:
    """Who writes the prompts, and for a model the requests, and the most tokens and money that they cost."""
    if prompts.source != "llm":
        author = "own templates" if grammar.templates else "built-in grammar"
        return author + (f", since there is no key for {prompts.model}" if prompts.model else "")
    from models.prompts.request import LONGEST_REQUEST, Wanted, bounds

    to_buy = prompts_lacking(grammar, count, out)
    if not to_buy:
        return f"{prompts.model}; all are bought"
    most = Tokens()
    for name, number in to_buy.items():
        one = bounds(prompts, Wanted(name, grammar.phrases[name], number, (), grammar.vocabulary(name)))
        most += Tokens(*(-(-number // prompts.per_request) * tokens for tokens in (one[0] + LONGEST_REQUEST, one[1])))
    requests = sum(-(-number // prompts.per_request) for number in to_buy.values())
    money = cost(prompts, most)
    limit = f"; the build stops before {prompts.max_tokens} tokens"
    if prompts.max_money is not None:
        limit += f" or {prompts.max_money:g} in money"
    bill = "" if money is None else f", {money:.4g} in money"
    return (
        f"{sum(to_buy.values())} of {prompts.model} in {requests} requests if all can be used, {most.total} tokens at "
        f"most{bill}{limit}"
    )


def check_purchase(prompts: PromptConfig, grammar: Grammar, count: int, out: Path) -> None:
    """UserError if prompts must be bought and there is no key, or the budget is too small for the first request."""
    to_buy = prompts_lacking(grammar, count, out) if prompts.source == "llm" else {}
    if not to_buy:
        return
    from models.prompts.endpoint import no_key
    from models.prompts.request import Wanted, bounds

    if key_of(prompts) is None:
        raise UserError(no_key(prompts))
    check_proxies()

    name, number = next(iter(to_buy.items()))
    asked = min(number, prompts.per_request)
    first = Wanted(name, grammar.phrases[name], asked, (), grammar.vocabulary(name))
    paid = spent(open_dataset(out, "build").prompt_store("requests")) if is_dataset(out) else Tokens()
    check_budget(prompts, paid, Tokens(*bounds(prompts, first)))


def check_proxies() -> None:
    """UserError if the proxies that the environment names cannot be used."""
    from openai import DefaultHttpxClient

    try:
        DefaultHttpxClient().close()
    except Exception as error:  # ImportError, ValueError or the HTTP library's own
        raise UserError(
            f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not a proxy that can be used ({error}); expected "
            "http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
        ) from error
