"""The ledger of bought prompts: before a request is sent, a row in the prompt store records the most it can cost.

Knows nothing of the requests' text or of the services that answer them; prices and budgets are in
models/prompts/budget.py.
"""

from typing import Any

import pandas as pd

from models.config.prompts import PromptConfig
from models.prompts.budget import Tokens, check_budget
from storage.dataset.prompt_store import add_rows, set_row
from storage.dataset.writer import DatasetWriter


class Ledger:
    """The meter of one request for prompts of a class (models/prompts/llm.py), which uses at most `most` tokens.

    A killed build leaves the row open at the most it can have cost, so the budget can never be exceeded unnoticed.
    """

    def __init__(self, writer: DatasetWriter, config: PromptConfig, category: str, most: Tokens):
        self._writer = writer
        self._config = config
        self._category = category
        self._most = most
        self._row = -1

    def open(self) -> None:
        """Add the request to the prompt store; UserError if it could exceed the budget."""
        requests = self._writer.prompt_store("requests")
        check_budget(self._config, spent(requests), self._most)
        self._row = len(requests)
        row = {
            "category": self._category, "model": self._config.model, "state": "open", "problem": "",
            "input": self._most.input, "output": self._most.output,
        }  # fmt: skip
        self._writer.edit(lambda group: add_rows(group, "requests", [row]), "Send a request for prompts")

    def free(self) -> None:
        """Record that the request cost nothing."""
        change = {"state": "free", "input": 0, "output": 0}
        self._writer.edit(lambda group: set_row(group, "requests", self._row, change), "A request was refused")

    def close(self, cost: Tokens, problem: str, prompts: list[dict[str, Any]]) -> None:
        """Commit the answer in one transaction: its cost, its problem ('' if none), and all its prompts.

        prompts: a dict each, with prompt, reason ('' if accepted) and source.
        """
        paid = {"state": "answered", "problem": problem, "input": cost.input, "output": cost.output}
        rows = [{"category": self._category, "request": self._row} | prompt for prompt in prompts]

        def change(group: Any) -> None:
            set_row(group, "requests", self._row, paid)
            add_rows(group, "prompts", rows)

        accepted = sum(row["reason"] == "" for row in rows)
        self._writer.edit(change, f"Buy {accepted} prompts")


def spent(requests: pd.DataFrame) -> Tokens:
    """Tokens of all requests of a prompt store; an unanswered request counts the most it can have used."""
    return Tokens(int(requests["input"].sum()), int(requests["output"].sum()))
