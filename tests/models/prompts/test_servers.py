"""Prompts are bought from every server that a stand-in knows, for what they cost; else its words are told."""

import pytest

from models.config.prompts import PromptConfig
from models.prompts.llm import Wanted, ask, bounds, open_client
from models.prompts.request import LIMITS
from tests.models.prompts.endpoint import Endpoint, serving
from tests.models.prompts.servers import SERVERS, TEXTS
from tests.models.prompts.test_llm import Meter

WANTED = Wanted("dog", ("dog",), 2)
AZURE = "/openai/deployments/d/chat/completions?api-version=2024-02-01"


def config_of(name: str, endpoint: Endpoint, **settings: object) -> PromptConfig:
    url = endpoint.url + (AZURE if name == "azure" else "")
    return PromptConfig.model_validate({"model": "m", "base_url": url, "attempts": 1, "timeout": 5} | settings)


@pytest.mark.parametrize("structured", ["json_schema", "json_object", "none"])
@pytest.mark.parametrize("name", SERVERS)
def test_prompts_are_bought_from_each(name, structured):
    """Refused attempts are free; a second request has the form that was found, and takes one attempt."""
    meter = Meter()
    with serving(SERVERS[name]) as endpoint:
        config = config_of(name, endpoint, structured=structured)
        with open_client(config, "sk-secret", meter) as client:
            answers = [ask(client, config, WANTED)]
            if name == "tgi":  # gives 100 tokens, until it is asked by the name that it knows
                assert answers[0].prompts == TEXTS[:1] and answers[0].cut_early
                answers = [ask(client, config, WANTED)]
            assert [answer.prompts for answer in answers] == [TEXTS] and not answers[0].problem
            paid, before = meter.opened - meter.freed, meter.opened
            assert paid == (2 if name == "tgi" else 1) and before <= 8
            assert ask(client, config, WANTED).prompts == TEXTS and meter.opened == before + 1
    most_in, most_out = bounds(config, WANTED)
    assert all(request[name] <= most_out for request in endpoint.asked for name in LIMITS if name in request)
    assert 0 < answers[0].input_tokens <= most_in and answers[0].output_tokens <= most_out


UNKNOWN = {"openai": "does not exist", "vllm": "does not exist", "ollama": "try pulling", "lm studio": "Failed to load"}


@pytest.mark.parametrize("name, words", [*UNKNOWN.items(), ("mistral", "Invalid model")])
def test_an_unknown_model_is_told_in_the_servers_words(name, words):
    with serving(SERVERS[name]) as endpoint:
        config = config_of(name, endpoint, model="unknown")
        with (
            open_client(config, "k", Meter()) as client,
            pytest.raises(ValueError, match=rf"^prompts\.model: .*unknown.*{words}"),
        ):
            ask(client, config, WANTED)


PATHS = {"openai": "Invalid URL", "vllm": "Not Found", "ollama": "page not found", "azure": "Resource not found"}


@pytest.mark.parametrize("name, words", PATHS.items())
def test_an_address_without_v1_is_told(name, words):
    with serving(SERVERS[name]) as endpoint:
        config = config_of(name, endpoint, base_url=endpoint.url.removesuffix("/v1") + "/api")
        with (
            open_client(config, "k", Meter()) as client,
            pytest.raises(ValueError, match=rf"^prompts\.base_url: .*404: .*{words}.*/v1"),
        ):
            ask(client, config, WANTED)


def test_an_error_with_status_200_is_told():
    with serving(SERVERS["lm studio"]) as endpoint:
        config = config_of("lm studio", endpoint, base_url=endpoint.url.removesuffix("/v1"))
        with open_client(config, "k", Meter()) as client:
            answer = ask(client, config, WANTED)
    assert "Unexpected endpoint" in answer.problem and "prompts.base_url" in answer.mend and not answer.prompts


@pytest.mark.parametrize("name", ["vllm", "tgi"])
def test_a_limit_beyond_the_context_is_lowered_and_said(name, caplog):
    with serving(SERVERS[name]) as endpoint:
        config = config_of(name, endpoint)
        with open_client(config, "k", Meter()) as client:
            ask(client, config, WANTED)
            ask(client, config, WANTED)
    assert endpoint.asked[-1].get("max_tokens", endpoint.asked[-1].get("max_completion_tokens")) == 1024
    assert [r.levelname for r in caplog.records if "prompts.max_answer" in r.getMessage()] == ["WARNING"]


def test_azures_address_keeps_its_query_and_its_key_is_where_azure_reads_it():
    with serving(SERVERS["azure"]) as endpoint:
        config = config_of("azure", endpoint)
        with open_client(config, "sk-secret", Meter()) as client:
            assert ask(client, config, WANTED).prompts == TEXTS
    assert {request.path for request in endpoint.asked} == {"/v1" + AZURE}
