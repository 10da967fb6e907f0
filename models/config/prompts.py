"""The configuration of prompts: who writes them, and within which budget (docs/prompts.md).

Imports no torch and knows nothing of how a model is asked.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, ValidationError, model_validator

from models.config.base import FREE, Config
from models.errors import UserError


class Price(Config):
    """What a model's tokens cost, in whatever currency prompts.max_money is in."""

    input: float = Field(ge=0, le=1e6, description="a million tokens of requests")
    output: float = Field(ge=0, le=1e6, description="a million tokens of answers")


def _model_name(name: str) -> str:
    if not name.isprintable():
        raise UserError(f"prompts.model: expected a name of printable characters, got {name[:40]!r}; change it")
    return name


def _endpoint(url: str) -> str:
    try:
        HttpUrl(url)  # ports, brackets
        known = re.fullmatch(r"https?://[^\s@/]+(/[^\s@]*)?", url)  # no passwords: the configuration is stored
    except ValidationError:
        known = None
    if not known:
        raise UserError(
            f"prompts.base_url: expected an address without a user, as in http://localhost:8000/v1, got {url[:80]!r}; "
            "change it"
        )
    return url


class PromptConfig(Config):
    """Who writes the prompts: the built-in grammar, or a language model within a budget; docs/prompts.md."""

    source: Literal["auto", "grammar", "llm"] = Field(
        "auto", description="'llm' asks the model, 'grammar' does not, 'auto' does where a model and a key are given"
    )
    model: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_model_name)] | None = Field(
        None, description="name of the model, as the endpoint has it"
    )
    base_url: Annotated[Annotated[str, AfterValidator(_endpoint)] | None, FREE] = Field(
        None,
        description="OpenAI-compatible endpoint, as in 'http://localhost:8000/v1'; OPENAI_BASE_URL, or OpenAI's",
    )
    secret: Annotated[str | None, FREE] = Field(
        None,
        pattern=r"^[a-z0-9-]+$",
        description="Prefect Secret block that holds the key; the environment's OPENAI_API_KEY when absent",
    )
    per_class: int = Field(
        50, ge=1, le=10_000, description="different prompts of a class at most; a larger number of samples repeats them"
    )
    per_request: Annotated[int, FREE] = Field(20, ge=1, le=100, description="prompts asked for at once")
    max_overlap: Annotated[float, FREE] = Field(
        0.7,
        ge=0,
        le=1,
        description="largest share of words that a prompt may have in common with an earlier one of its class",
    )
    structured: Annotated[Literal["json_schema", "json_object"], FREE] = Field(
        "json_schema",
        description="how the endpoint is held to JSON: to a schema, or to JSON of any kind where it knows none",
    )
    max_answer: Annotated[int, FREE] = Field(
        4096, ge=64, le=1_000_000, description="tokens of an answer at most, reasoning included"
    )
    max_tokens: Annotated[int, FREE] = Field(
        1_000_000, ge=1, description="tokens that the dataset may take in all, in and out"
    )
    max_money: Annotated[float | None, FREE] = Field(
        None, ge=0, description="money that it may cost in all; needs the model's price"
    )
    prices: Annotated[dict[str, Price], FREE] = Field(
        default_factory=dict, description="price by model, as in {gpt-5-mini: {input: 0.25, output: 2}}"
    )
    timeout: Annotated[float, FREE] = Field(
        60.0, gt=0, le=3600, description="seconds that the endpoint may keep silent"
    )
    attempts: Annotated[int, FREE] = Field(
        6, ge=1, le=100, description="times a request is sent in all, waits between them doubling"
    )

    @model_validator(mode="after")
    def _money_needs_a_price(self) -> Self:
        if self.max_money is not None and self.model is not None and self.model not in self.prices:
            raise UserError(f"prompts.max_money: needs the price of {self.model}; give it in prompts.prices")
        return self
