"""The language model's client against a real server on localhost: what is retried, what is refused, what it costs."""

import json

import pytest

from models.config.prompts import PromptConfig
from models.prompts.budget import Tokens, check_budget, cost
from models.prompts.llm import Answer, Wanted, ask, bounds, open_client
from tests.models.prompts.endpoint import Reply, completion, prompts, serving

WANTED = Wanted("dog", ("dog", "hound"), 2, ("a dog on a beach",))
GOOD = Reply(prompts("a dog on a hill", "a dog in the snow"))
ANSWER = Answer(("a dog on a hill", "a dog in the snow"), 300, 200)


class Meter:
    """Counts the attempts, and those that cost nothing."""

    opened = freed = 0

    def open(self) -> None:
        self.opened += 1

    def free(self) -> None:
        self.freed += 1


def asked(url: str, meter: Meter | None = None, key: str = "sk-secret", **settings: object) -> Answer:
    config = PromptConfig.model_validate({"model": "m", "base_url": url, "timeout": 0.5, "attempts": 3} | settings)
    with open_client(config, key, meter or Meter()) as client:
        return ask(client, config, WANTED)


def test_a_request_has_what_it_should():
    with serving(GOOD) as endpoint:
        assert asked(endpoint.url) == ANSWER
        asked(endpoint.url, structured="json_object")
    first, second = endpoint.asked
    assert first["model"] == "m" and first["max_completion_tokens"] == 4096
    assert first["response_format"]["json_schema"]["strict"] and second["response_format"] == {"type": "json_object"}
    assert endpoint.keys[0] == "Bearer sk-secret"
    said = first["messages"][1]["content"]
    assert all(part in said for part in ("2 prompts", '"dog" or "hound"', "a dog on a beach"))


def test_retry_after_is_waited_for():
    """A second, where the client's own first wait is half of one at most."""
    meter = Meter()
    with serving(Reply("{}", 429, {"Retry-After": "1"}), GOOD) as endpoint:
        assert asked(endpoint.url, meter) == ANSWER
    assert endpoint.at[1] - endpoint.at[0] >= 1
    assert (meter.opened, meter.freed) == (2, 1)


def test_servers_errors_and_silence_are_tried_again_and_only_silence_may_have_cost():
    """The waits between: 0.5 s and 1 s, each less up to a quarter."""
    meter = Meter()
    with serving(Reply("oops", 500), Reply("", silence=2), GOOD) as endpoint:
        assert asked(endpoint.url, meter) == ANSWER
    assert 0.375 <= endpoint.at[1] - endpoint.at[0] <= 1.5 and endpoint.at[2] - endpoint.at[1] >= 0.5 + 0.75
    assert (meter.opened, meter.freed) == (3, 1)


NO_ANSWERS = {
    "cut off": (completion('{"prompts": ["a dog on', reason="length"), "not the JSON"),
    "another schema": (completion('{"texts": ["a dog"]}'), "not the JSON"),
    "more than the schema": (completion('{"prompts": ["a dog"], "note": "hi"}'), "not the JSON"),
    "numbers": (completion('{"prompts": [1, 2]}'), "not the JSON"),
    "none": (completion('{"prompts": []}'), "not the JSON"),
    "prose": (completion("Certainly! Here are your prompts:"), "not the JSON"),
    "deep": (completion("[" * 100_000), "not the JSON"),
    "half a character": (completion('{"prompts": ["a dog \\ud800 sits"]}'), "not the JSON"),
    "refused": (completion(None), "empty"),
    "no choices": ({"id": "x", "choices": [], "usage": None}, "no chat completion"),
    "another object": ({"hello": "world"}, "no chat completion"),
    "a list": ("[1, 2]", "no chat completion"),
    "half a body": ('{"id": "x", "choi', "no chat completion"),
}


@pytest.mark.parametrize("body, problem", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_an_answer_that_is_none_is_paid_for_and_not_used(body, problem):
    with serving(Reply(body)) as endpoint:
        answer = asked(endpoint.url)
    assert answer.prompts == () and problem in answer.problem and len(endpoint.asked) == 1
    assert answer.input_tokens > 0 and answer.output_tokens > 0


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -5, "completion_tokens": "many"}, {"prompt_tokens": 1e40}])
def test_usage_that_cannot_be_believed_counts_as_the_bound(usage):
    with serving(Reply(completion('{"prompts": ["a dog sits"]}', usage))) as endpoint:
        answer = asked(endpoint.url)
    most = bounds(PromptConfig(model="m"), WANTED)
    assert (answer.input_tokens, answer.output_tokens) == most


REFUSALS = {
    "the key": (Reply({"error": {"message": "Incorrect key sk-secret"}}, 401), ["OPENAI_API_KEY", "401"], {}),
    "a block's key": (Reply("{}", 403), ["prompts.secret=mine"], {"secret": "mine"}),
    "the model": (Reply({"error": {"message": "no such model"}}, 404), ["prompts.model", "no such model"], {}),
    "the schema": (Reply("{}", 400), ["prompts.structured", "json_object"], {}),
    "the words": (Reply({"error": "no response_format here"}, 400), ["no response_format here"], {}),
    "the credit": (
        Reply({"error": {"message": "Insufficient Balance"}}, 402),
        ["no credit", "Insufficient Balance"],
        {},
    ),
    "the content": (Reply({"error": {"code": "content_filter"}}, 400), ["prompts.model", "content_filter"], {}),
    "too short": (Reply({"error": "Try again with higher max_tokens."}, 400), ["prompts.max_answer", "raise it"], {}),
    "Google's key": (Reply([{"error": {"message": "API key not valid."}}], 400), ["OPENAI_API_KEY", "not valid"], {}),
    "a proxy's page": (Reply("<html><h1>407 Ask IT</h1></html>", 407), ["407 Ask IT", "prompts.base_url"], {}),
    "the rate": (Reply("{}", 429, {"retry-after-ms": "20"}), ["prompts.attempts", "after 3"], {}),
    "always": (Reply("<html>\n\n" * 9, 503, {"retry-after-ms": "20"}), ["prompts.base_url", "503"], {}),
    "silence": (Reply("", silence=0.5), ["prompts.timeout", "0.1 s"], {"timeout": 0.1, "attempts": 1}),
    "another page": (Reply("<html>hello</html>", headers={"Content-Type": "text/html"}), [], {}),
}


@pytest.mark.parametrize("reply, words, settings", REFUSALS.values(), ids=REFUSALS)
def test_an_endpoint_that_gives_no_answer_names_the_setting_in_one_line(reply, words, settings):
    with serving(reply) as endpoint:
        if not words:
            assert "no chat completion" in asked(endpoint.url).problem
            return
        with pytest.raises(ValueError) as refused:
            asked(endpoint.url, **settings)
    said = str(refused.value)
    assert all(word in said for word in [*words, endpoint.url]) and "\n" not in said and "sk-secret" not in said


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://h", "http://[h", "http://h:99999/", "https:///v1", "http://u:p@h/v1", "http://h\n/v1"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match=r"prompts\.base_url: expected an address"):
        PromptConfig(base_url=url)


ADDRESSES = {
    "http://h/v1/": "http://h/v1",
    " 'http://h/v1' ": "http://h/v1",
    '"https://h/v1/chat/completions/"': "https://h/v1",
    "https://h/d/chat/completions?api-version=1": "https://h/d?api-version=1",
}


@pytest.mark.parametrize("given, address", ADDRESSES.items())
def test_an_address_is_taken_as_people_copy_it(given, address):
    assert PromptConfig(base_url=given).base_url == address


@pytest.mark.parametrize("name", ["key", "api-key", "access_token", "subscription-key"])
def test_a_key_in_the_address_is_refused_for_it_would_be_stored(name):
    with pytest.raises(ValueError, match=r"prompts\.base_url: expected an address without a key") as refused:
        PromptConfig(base_url=f"http://h/v1?{name}=sk-secret")
    assert "sk-secret" not in str(refused.value).split("\n")[1]


@pytest.mark.parametrize("empty", ["", " ", None])
def test_an_empty_variable_of_openais_counts_as_unset(empty, monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False) if empty is None else monkeypatch.setenv(name, empty)
    with open_client(PromptConfig(model="m"), "k", Meter()) as client:
        assert str(client.base_url) == "https://api.openai.com/v1/"
        assert not {"OpenAI-Organization", "OpenAI-Project"} & {
            name for name, value in client.default_headers.items() if isinstance(value, str)
        }


def test_the_variables_address_is_held_to_the_settings_rules(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:8000/v1")
    with pytest.raises(ValueError, match=r"^OPENAI_BASE_URL: expected an address.*got 'localhost:8000/v1'"):
        open_client(PromptConfig(model="m"), "k", Meter())
    with serving(GOOD) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", f' "{endpoint.url}" ')
        config = PromptConfig(model="m", attempts=1)
        with open_client(config, "k", Meter()) as client:
            assert ask(client, config, WANTED) == ANSWER


def test_a_proxy_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "nonsense://localhost:1")
    with pytest.raises(ValueError, match=r"ALL_PROXY cannot be used.*NO_PROXY"):
        open_client(PromptConfig(model="m"), "k", Meter())


def test_an_account_without_credit_is_not_asked_again():
    """Waiting mends a rate, not this."""
    meter = Meter()
    spent = {"message": "You exceeded your current quota, please check your plan.", "code": "insufficient_quota"}
    with serving(Reply({"error": spent}, 429)) as endpoint:
        with pytest.raises(ValueError, match=r"no credit left \(429: You exceeded.*top it up") as refused:
            asked(endpoint.url, meter)
        assert len(endpoint.asked) == meter.opened == meter.freed == 1
    assert "later" not in str(refused.value)


def test_a_refusal_without_a_known_reason_is_told_as_it_was_first_given():
    """The other forms are tried; what those are refused for is not the reason."""
    meter = Meter()

    def strange(request: dict) -> Reply:
        said = "MARKER" if "max_completion_tokens" in request else "max_tokens is not supported"
        return Reply({"error": said}, 400)

    with serving(strange) as endpoint, pytest.raises(ValueError, match=r"400: MARKER\).*prompts\.structured"):
        asked(endpoint.url, meter)
    assert meter.opened == meter.freed > 1


def test_a_name_for_the_limit_is_remembered_by_its_client_alone():
    old = Reply({"detail": "max_completion_tokens: extra field"}, 422)
    with serving(old, GOOD, GOOD, GOOD) as endpoint:
        config = PromptConfig(model="m", base_url=endpoint.url, attempts=1)
        with open_client(config, "k", Meter()) as client:
            assert ask(client, config, WANTED) == ask(client, config, WANTED) == ANSWER
        assert asked(endpoint.url) == ANSWER
    assert [("max_tokens" in request) for request in endpoint.asked] == [False, True, True, False]


def test_a_models_name_is_one_line():
    with pytest.raises(ValueError, match=r"prompts\.model: expected a name of printable"):
        PromptConfig(model="a\nb")


def test_an_endpoint_that_is_not_there_costs_nothing():
    with serving(GOOD) as gone:
        pass
    meter = Meter()
    with pytest.raises(ValueError, match=r"prompts\.base_url.*cannot be reached.*OPENAI_BASE_URL"):
        asked(gone.url, meter, attempts=2)
    assert meter.opened == meter.freed == 2


def test_the_bound_is_never_below_a_byte_pair_tokenizers_count():
    """Every token is a byte of the request or more."""
    wanted = Wanted("étoile", ("étoile",), 3, ("a étoile 🌟 on a hill",) * 30, ("word",) * 100)
    with serving(GOOD) as endpoint:
        config = PromptConfig(model="m", base_url=endpoint.url)
        with open_client(config, "k", Meter()) as client:
            ask(client, config, wanted)
    texts = [m["content"] for m in endpoint.asked[0]["messages"]] + [json.dumps(endpoint.asked[0]["response_format"])]
    most_in, most_out = bounds(config, wanted)
    assert most_in >= sum(len(text.encode()) for text in texts) and most_out == 4096


def test_a_budget_is_held_before_it_is_passed():
    prices = {"m": {"input": 2.0, "output": 10.0}}
    config = PromptConfig.model_validate({"model": "m", "max_tokens": 1000, "max_money": 0.005, "prices": prices})
    assert cost(config, Tokens(500, 100)) == pytest.approx(0.002)
    check_budget(config, Tokens(100, 100), Tokens(100, 100))
    with pytest.raises(ValueError, match=r"prompts\.max_tokens.*800 of 1000.*300"):
        check_budget(config, Tokens(700, 100), Tokens(300, 0))
    with pytest.raises(ValueError, match=r"prompts\.max_money.*0\.003 of 0\.005"):
        check_budget(config, Tokens(0, 300), Tokens(0, 300))
    with pytest.raises(ValueError, match=r"prompts\.max_money: needs the price of m"):
        PromptConfig(model="m", max_money=1.0)
