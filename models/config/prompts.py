"""The configuration of prompts: who writes them, and within which budget (docs/prompts.md).

Imports no torch and knows nothing of how a model is called.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, ValidationError, model_validator

from models.config.base import FREE, Config
from models.errors import UserError


class Price(Config):
    """What a model's tokens cost, in the currency of prompts.max_money."""

    input: float = Field(ge=0, le=1e6, description="price of a million tokens of requests")
    output: float = Field(ge=0, le=1e6, description="price of a million tokens of answers")


def _model_name(name: str) -> str:
    if not name.isprintable():
        raise UserError(f"prompts.model: expected a name of printable characters, got {name[:40]!r}; change it")
    return name


def endpoint_address(given: str, where: str = "prompts.base_url") -> str:
    """The address of an endpoint as `where` gives it, without quotation marks around it and '/chat/completions'.

    UserError if it is not an address, or has a user name or a key in it: the configuration is stored.
    """
    url = given.strip().strip("\"'").strip()
    try:
        HttpUrl(url)  # checks ports and brackets
        match = re.fullmatch(r"https?://[^\s@/?#]+(/[^\s@?#]*)?(\?[^\s@#]*)?", url, re.IGNORECASE)
    except ValidationError:
        match = None
    if not match:
        raise UserError(
            f"{where}: expected an address without a user name, as in http://localhost:8000/v1, got {url[:80]!r}; "
            "change it"
        )
    if key := re.search(r"[?&]([\w-]*(key|token|secret|password|sig|signature))=", url, re.IGNORECASE):
        raise UserError(
            f"{where}: expected an address without a key, got one with {key[1]}; give the key by OPENAI_API_KEY or "
            "prompts.secret"
        )
    return re.sub(r"(/chat/completions)?/*(?=\?|$)", "", url, count=1)


class PromptConfig(Config):
    """Who writes the prompts: the built-in grammar, or a language model within a budget; docs/prompts.md."""

    source: Literal["auto", "grammar", "llm"] = Field(
        "auto", description="'llm' asks the model, 'grammar' does not, 'auto' does if a model and a key are given"
    )
    model: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_model_name)] | None = Field(
        None, description="name of the model at the endpoint"
    )
    base_url: Annotated[Annotated[str, AfterValidator(endpoint_address)] | None, FREE] = Field(
        None,
        description="OpenAI-compatible endpoint, as in 'http://localhost:8000/v1'; by default the environment's "
        "OPENAI_BASE_URL, or else OpenAI's",
    )
    secret: Annotated[str | None, FREE] = Field(
        None,
        pattern=r"^[a-z0-9-]+$",
        description="Prefect Secret block that holds the key; the environment's OPENAI_API_KEY when absent",
    )
    per_class: int = Field(
        50, ge=1, le=10_000, description="largest number of different prompts of a class; more samples repeat them"
    )
    per_request: Annotated[int, FREE] = Field(20, ge=1, le=100, description="prompts asked for in one request")
    max_overlap: Annotated[float, FREE] = Field(
        0.7,
        ge=0,
        le=1,
        description="largest share of words that a prompt may have in common with an earlier one of its class",
    )
    structured: Annotated[Literal["json_schema", "json_object", "none"], FREE] = Field(
        "json_schema",
        description="how the endpoint is made to answer in JSON: by a schema, as any JSON, or by the request's words "
        "alone; where it refuses one, the next is tried",
    )
    max_answer: Annotated[int, FREE] = Field(
        4096, ge=64, le=1_000_000, description="largest number of tokens of an answer, reasoning included"
    )
    max_tokens: Annotated[int, FREE] = Field(
        1_000_000, ge=1, description="total tokens that the dataset may use, requests and answers"
    )
    max_money: Annotated[float | None, FREE] = Field(
        None, ge=0, description="total money that the prompts may cost; needs the model's price"
    )
    prices: Annotated[dict[str, Price], FREE] = Field(
        default_factory=dict, description="price by model, as in {gpt-5-mini: {input: 0.25, output: 2}}"
    )
    timeout: Annotated[float, FREE] = Field(
        60.0, gt=0, le=3600, description="seconds to wait for the endpoint to answer"
    )
    attempts: Annotated[int, FREE] = Field(
        6, ge=1, le=100, description="times a request is sent before giving up; the wait between them doubles"
    )

    @model_validator(mode="after")
    def _money_needs_a_price(self) -> Self:
        if self.max_money is not None and self.model is not None and self.model not in self.prices:
            raise UserError(f"prompts.max_money: needs the price of {self.model}; give it in prompts.prices")
        return self
