"""The cost of prompts and its limit, in tokens and in money. Knows nothing of the endpoint or of the store."""

from dataclasses import dataclass

from models.config.prompts import PromptConfig
from models.errors import UserError


@dataclass(frozen=True)
class Tokens:
    """Tokens of requests and of answers; requests without an answer count with their upper bound."""

    input: int = 0
    output: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.input + other.input, self.output + other.output)

    @property
    def total(self) -> int:
        return self.input + self.output


def cost(config: PromptConfig, tokens: Tokens) -> float | None:
    """The price of the tokens; None if the model's price is not given."""
    price = config.prices.get(config.model or "")
    return None if price is None else (tokens.input * price.input + tokens.output * price.output) / 1e6


def check_budget(config: PromptConfig, spent: Tokens, most: Tokens) -> None:
    """UserError if a request of at most `most` tokens, after `spent`, could exceed the budget."""
    after = spent + most
    if after.total > config.max_tokens:
        raise UserError(
            f"prompts.max_tokens: {spent.total} of {config.max_tokens} tokens are spent, and the next request may use "
            f"{most.total}; raise it, or lower prompts.per_class for a new dataset"
        )
    cost_after, cost_now = cost(config, after), cost(config, spent)
    if config.max_money is not None and cost_after is not None and cost_after > config.max_money:
        raise UserError(
            f"prompts.max_money: {cost_now:.6g} of {config.max_money:g} is spent, and the next request may raise it to "
            f"{cost_after:.6g}; raise it, or lower prompts.per_class for a new dataset"
        )
