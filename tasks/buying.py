"""Buy prompts from a language model: a request at a time, each paid for in the prompt_store before it is sent."""

import os
from typing import Any

from models.config.build import BuildConfig
from models.config.prompts import PromptConfig
from models.errors import UserError
from storage.dataset.prompt_store import add_rows, set_row
from storage.dataset.writer import DatasetWriter
from tasks.base import task

PATIENCE = 3  # requests for a class, one after the other, that may bring no prompt


@task(task_run_name="write-{category}")
def buy_prompts(writer: DatasetWriter, config: BuildConfig, category: str, number: int) -> int:
    """Ask for prompts of a class until `number` more are accepted; each answer is committed. Returns how many were.

    UserError where the budget would be passed, the endpoint gives no answer, or requests bring nothing.
    """
    from models.backbone.facts import check_backbone
    from models.backbone.tokens import load_tokenizer
    from models.prompts.checks import PromptChecker, reasons
    from models.prompts.grammar import vocabulary
    from models.prompts.llm import Wanted, ask, open_client, source_of

    key = key_of(config.prompts)
    if key is None:
        raise UserError(no_key(config.prompts))
    prompt_store = writer.prompt_store("prompts")
    taken = prompt_store.loc[(prompt_store["category"] == category) & (prompt_store["reason"] == ""), "prompt"].tolist()
    words = vocabulary(config, category)
    checker = PromptChecker(
        category,
        {name: config.phrases_of(name) for name in config.classes},
        load_tokenizer(check_backbone(config.backbone).folder),
        config.prompts.max_overlap,
        taken,
        words,
    )
    found, idle, last = 0, 0, ""
    while found < number:
        if idle == PATIENCE:
            raise UserError(
                f"prompts.model: {PATIENCE} requests for {category!r} to {config.prompts.model} brought no prompt that "
                f"can be used ({last}); try another model, raise prompts.max_overlap, or start anew with a lower "
                "prompts.per_class"
            )
        asked = min(number - found, config.prompts.per_request)
        wanted = Wanted(category, config.phrases_of(category), asked, tuple(taken), words)
        ledger = Ledger(writer, config.prompts, wanted)
        with open_client(config.prompts, key, ledger) as client:
            answer = ask(client, config.prompts, wanted)
        texts = [text.strip() for text in answer.prompts]
        verdicts = [checker.reason(text) for text in texts]
        ledger.close(answer, texts, verdicts, source_of(config.prompts))
        new = [text for text, verdict in zip(texts, verdicts, strict=True) if not verdict]
        taken += new
        found, idle = found + len(new), 0 if new else idle + 1
        last = answer.problem or reasons(verdicts)
    return found


class Ledger:
    """The meter of one request (models/prompts/llm.py): every attempt is a row of the prompt_store before it is sent.

    A build that is killed leaves it open, at the most it can have cost, so that no budget is passed without being seen.
    """

    def __init__(self, writer: DatasetWriter, config: PromptConfig, wanted: Any):
        from models.prompts.budget import Tokens
        from models.prompts.llm import bounds

        self._writer = writer
        self._config = config
        self._category = wanted.category
        self._most = Tokens(*bounds(config, wanted))
        self._row = -1

    def open(self) -> None:
        """Add the attempt to the bank; UserError where it could pass the budget."""
        from models.prompts.budget import check_budget

        requests = self._writer.prompt_store("requests")
        check_budget(self._config, spent(requests), self._most)
        self._row = len(requests)
        row = {
            "category": self._category, "model": self._config.model, "state": "open", "problem": "",
            "input": self._most.input, "output": self._most.output,
        }  # fmt: skip
        self._writer.edit(lambda group: add_rows(group, "requests", [row]), "Send a request for prompts")

    def free(self) -> None:
        """The attempt cost nothing."""
        change = {"state": "free", "input": 0, "output": 0}
        self._writer.edit(lambda group: set_row(group, "requests", self._row, change), "A request was refused")

    def close(self, answer: Any, texts: list[str], verdicts: list[str], source: str) -> None:
        """Commit the answer: what it cost, and its prompts, accepted and not, in one."""
        from models.prompts.checks import LONGEST

        paid = {"state": "answered", "problem": answer.problem}
        paid |= {"input": answer.input_tokens, "output": answer.output_tokens}
        rows = [
            {"category": self._category, "prompt": text[: LONGEST + 1], "reason": verdict, "source": source,
             "request": self._row}
            for text, verdict in zip(texts, verdicts, strict=True)
        ]  # fmt: skip

        def change(group: Any) -> None:
            set_row(group, "requests", self._row, paid)
            add_rows(group, "prompts", rows)

        self._writer.edit(change, f"Buy {verdicts.count('')} prompts")


def spent(requests: Any) -> Any:
    """Tokens of all requests of a prompt_store, those never answered at the most that they can have taken."""
    from models.prompts.budget import Tokens

    return Tokens(int(requests["input"].sum()), int(requests["output"].sum()))


def key_of(config: PromptConfig) -> str | None:
    """The key of the endpoint: of a Prefect Secret block where one is named, else of the environment; None for none."""
    where = f"the Secret block {config.secret}" if config.secret else "OPENAI_API_KEY"
    key = (_secret(config.secret) if config.secret else os.environ.get("OPENAI_API_KEY", "")).strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"prompts.secret: {where} holds line breaks or letters that no key has; copy the key again")
    return key or None


def _secret(name: str) -> str:
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]
    except ValueError as error:
        raise UserError(
            f"prompts.secret: Prefect has no Secret block named {name!r}; create it, or leave the setting out and put "
            "the key into OPENAI_API_KEY"
        ) from error


def no_key(config: PromptConfig) -> str:
    """What to say where a model is to be asked and there is no key."""
    return (
        f"prompts.source: {config.model} is to write prompts and there is no key; set OPENAI_API_KEY (any word where "
        "the endpoint asks for none), or prompts.secret, or prompts.source=grammar for the built-in grammar"
    )
