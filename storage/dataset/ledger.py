"""The ledger of bought prompts: every request is a row of the prompt store, at the most it can cost, before it is sent.

Knows nothing of what is asked or of whom; prices and budgets are models/prompts/budget.py's.
"""

from typing import Any

import pandas as pd

from models.config.prompts import PromptConfig
from models.prompts.budget import Tokens, check_budget
from storage.dataset.prompt_store import add_rows, set_row
from storage.dataset.writer import DatasetWriter


class Ledger:
    """The meter of one request for prompts of a class (models/prompts/llm.py), which takes `most` tokens at most.

    A build that is killed leaves it open, at the most it can have cost, so that no budget is passed without being seen.
    """

    def __init__(self, writer: DatasetWriter, config: PromptConfig, category: str, most: Tokens):
        self._writer = writer
        self._config = config
        self._category = category
        self._most = most
        self._row = -1

    def open(self) -> None:
        """Add the attempt to the prompt store; UserError where it could pass the budget."""
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

    def close(self, cost: Tokens, problem: str, prompts: list[dict[str, Any]]) -> None:
        """Commit the answer: what it cost, its problem or '', and its prompts, accepted and not, in one.

        prompts: prompt, reason ('' where it is accepted) and source of each.
        """
        paid = {"state": "answered", "problem": problem, "input": cost.input, "output": cost.output}
        rows = [{"category": self._category, "request": self._row} | prompt for prompt in prompts]

        def change(group: Any) -> None:
            set_row(group, "requests", self._row, paid)
            add_rows(group, "prompts", rows)

        accepted = sum(row["reason"] == "" for row in rows)
        self._writer.edit(change, f"Buy {accepted} prompts")


def spent(requests: pd.DataFrame) -> Tokens:
    """Tokens of all requests of a prompt store, those never answered at the most that they can have taken."""
    return Tokens(int(requests["input"].sum()), int(requests["output"].sum()))
