"""What prompts have cost and may cost, in tokens and in money. Knows nothing of who is asked or of where it is kept."""

from dataclasses import dataclass

from models.config.prompts import PromptConfig
from models.errors import UserError


@dataclass(frozen=True)
class Tokens:
    """Tokens of requests and of answers; those of requests that were never answered count as much as they could be."""

    input: int = 0
    output: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.input + other.input, self.output + other.output)

    @property
    def total(self) -> int:
        return self.input + self.output


def cost(config: PromptConfig, tokens: Tokens) -> float | None:
    """Money; None where the model's price is not given."""
    price = config.prices.get(config.model or "")
    return None if price is None else (tokens.input * price.input + tokens.output * price.output) / 1e6


def check_budget(config: PromptConfig, spent: Tokens, most: Tokens) -> None:
    """UserError where a request of at most `most` tokens could pass the budget that `spent` is of."""
    after = spent + most
    if after.total > config.max_tokens:
        raise UserError(
            f"prompts.max_tokens: {spent.total} of {config.max_tokens} tokens are spent, and the next request may take "
            f"{most.total}; raise it, or lower prompts.per_class for a new dataset"
        )
    money, bill = cost(config, after), cost(config, spent)
    if config.max_money is not None and money is not None and money > config.max_money:
        raise UserError(
            f"prompts.max_money: {bill:.6g} of {config.max_money:g} is spent, and the next request may take it to "
            f"{money:.6g}; raise it, or lower prompts.per_class for a new dataset"
        )
