"""Buying prompts: what is bought is kept and never paid for twice, budgets hold, and samples take prompts in order."""

import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from flows.checks import prompts as checks
from flows.checks.prompts import with_author
from models.config.build import BuildConfig
from models.prompts.grammar import Grammar
from storage.dataset.ledger import spent
from storage.dataset.reader import open_dataset
from tasks.prompts import key_of
from tests.models.prompts.endpoint import Reply, completion, fresh, prompts, serving
from tests.tasks.buyer import buy, config_of, open_writer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def table(path: Path):
    return open_dataset(path, "build").frame()


def describe_prompts(config: BuildConfig, path: Path) -> str:
    return checks.describe_prompts(config.prompts, Grammar.of(config, None), config.count, path)


def check_purchase(config: BuildConfig, path: Path) -> None:
    checks.check_purchase(config.prompts, Grammar.of(config, None), config.count, path)


def prompt_store(path: Path, name: str):
    return open_dataset(path, "build").prompt_store(name)


def test_samples_take_their_classes_prompts_in_order_and_start_again(tiny_folders, tmp_path):
    """Eight samples of two classes are four rounds of three prompts a class."""
    with serving(fresh) as endpoint:
        config = config_of(tiny_folders["sd1"], endpoint.url)
        buy(tmp_path, config)
        assert len(endpoint.asked) == 4
        buy(tmp_path, config)
        assert len(endpoint.asked) == 4
    samples, bought = table(tmp_path), prompt_store(tmp_path, "prompts")
    assert set(samples["prompt_source"]) == {"m/prompt v1"} and (samples["phrase"] == samples["category"]).all()
    for name, rows in samples.groupby("category"):
        first = bought.loc[(bought["category"] == name) & (bought["reason"] == ""), "prompt"].tolist()
        assert rows["prompt"].tolist() == [*first[:3], first[0]]
    requests = prompt_store(tmp_path, "requests")
    assert set(requests["state"]) == {"answered"} and spent(requests).total == 4 * 500


def test_a_larger_count_keeps_every_prompt_and_buys_what_is_lacking(tiny_folders, tmp_path):
    with serving(fresh) as endpoint:
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url, count=3))
        before, asked = table(tmp_path), len(endpoint.asked)
        larger = config_of(tiny_folders["sd1"], endpoint.url)
        assert sum(checks.prompts_lacking(Grammar.of(larger, None), larger.count, tmp_path).values()) == 6 - 3
        buy(tmp_path, larger)
        assert asked == 2 and len(endpoint.asked) <= 4
    assert table(tmp_path)["prompt"][:3].tolist() == before["prompt"].tolist()
    assert (table(tmp_path)["prompt"] != "").all()


def test_what_cannot_be_used_is_kept_with_its_reason(tiny_folders, tmp_path):
    bad = Reply(prompts("a cat", "a <b>cat</b> sits", "cat " * 30_000, "a cat\nsits here"))
    with serving(bad, fresh) as endpoint:
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
    bought = prompt_store(tmp_path, "prompts")
    assert (bought["reason"] != "").sum() == 4 and bought["prompt"].str.len().max() <= 401
    assert set(table(tmp_path)["prompt"]) <= set(bought.loc[bought["reason"] == "", "prompt"])


def test_a_model_that_brings_nothing_new_is_given_up(tiny_folders, tmp_path):
    with serving(Reply(prompts("a cat on a mat", "a cat on a mat"))) as endpoint:
        config = config_of(tiny_folders["sd1"], endpoint.url)
        with pytest.raises(ValueError, match=r"prompts\.model: 3 requests for 'cat'.*2 a duplicate.*max_overlap"):
            buy(tmp_path, config)
        assert len(endpoint.asked) == 4
    assert (table(tmp_path)["prompt"] == "").all() and (prompt_store(tmp_path, "prompts")["reason"] == "").sum() == 1


def test_a_refused_form_is_free_and_found_once_for_all_classes(tiny_folders, tmp_path):
    def knows_max_tokens(request: dict) -> Reply:
        if "max_completion_tokens" in request:
            return Reply({"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Extra inputs"}]}, 422)
        return fresh(request)

    with serving(knows_max_tokens) as endpoint:
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
        assert len(endpoint.asked) == 5
    requests = prompt_store(tmp_path, "requests")
    assert requests["state"].tolist() == ["free"] + ["answered"] * 4 and spent(requests).total == 4 * 500


def test_prompts_are_stored_in_plain_form_and_take_the_classes_words_as_they_stand(tiny_folders, tmp_path):
    number = count()

    def typeset(request: dict) -> Reply:
        name = request["messages"][1]["content"].split('"')[1].replace(" ", "\u2011")
        return Reply(prompts(*(f"a\u00a0{name} \u201cx{next(number)}\u201d\u2026" for _ in range(2))))

    with serving(typeset) as endpoint:
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
        assert len(endpoint.asked) == 4
    samples = table(tmp_path)
    assert samples["prompt"].str.fullmatch(r'a (cat|red-dog) "x\d+"\.\.\.').all()
    assert set(samples.loc[samples["category"] == "red dog", "phrase"]) == {"red-dog"}


@pytest.mark.parametrize(
    "body, said",
    [
        (
            completion("", reason="length") | {"usage": {"completion_tokens": 200}},
            r"cut off at.*raise prompts\.max_answer",
        ),
        (prompts("a kitten on a mat"), r"does not name the class\); give it words.*in phrases"),
        (completion("no"), r"not the JSON asked for\); try another model"),
    ],
)
def test_the_setting_that_mends_it_is_named(tiny_folders, tmp_path, body, said):
    with (
        serving(Reply(body)) as endpoint,
        pytest.raises(ValueError, match=rf"3 requests for 'cat' to m.*{said}") as ended,
    ):
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
    assert ("max_overlap" in str(ended.value)) == ("another model, raise" in said or "JSON" in said)


def test_a_budget_stops_the_build_before_it_is_passed_and_more_goes_on(tiny_folders, tmp_path):
    """A request's bound is over 1,000 tokens, its cost 500: 2,500 tokens are two or three requests."""
    with serving(fresh) as endpoint:
        config = config_of(tiny_folders["sd1"], endpoint.url, prompts={"max_tokens": 2500})
        with pytest.raises(ValueError, match=r"prompts\.max_tokens: \d+ of 2500 tokens are spent"):
            buy(tmp_path, config)
        stopped = len(endpoint.asked)
        assert (
            1 <= stopped < 4
            and 500 * stopped <= 2500
            and spent(prompt_store(tmp_path, "requests")).total == 500 * stopped
        )
        prices = {"m": {"input": 1, "output": 1}}
        tight = config_of(tiny_folders["sd1"], endpoint.url, prompts={"max_money": 0.001, "prices": prices})
        with pytest.raises(ValueError, match=r"prompts\.max_money"):
            buy(tmp_path, tight)
        assert len(endpoint.asked) == stopped and (table(tmp_path)["prompt"] == "").all()
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
        assert len(endpoint.asked) == 4


def test_silence_counts_as_much_as_it_may_have_cost(tiny_folders, tmp_path):
    with serving(Reply("", silence=1), fresh) as endpoint:
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
    requests = prompt_store(tmp_path, "requests")
    assert requests["state"].tolist() == ["open"] + ["answered"] * 4
    assert requests["output"][0] == 200 and requests["input"][0] > 1000


def test_an_endpoint_that_goes_away_keeps_what_was_bought(tiny_folders, tmp_path):
    revoked = Reply({"error": {"message": "revoked"}}, 401)
    with serving(fresh, revoked) as endpoint, pytest.raises(ValueError, match="OPENAI_API_KEY"):
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
    with pytest.raises(ValueError, match=r"prompts\.base_url.*cannot be reached"):
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
    assert len(prompt_store(tmp_path, "prompts")) == 2
    assert prompt_store(tmp_path, "requests")["state"].tolist() == ["answered"] + ["free"] * 3
    with serving(fresh) as again:  # elsewhere: what is asked matters, not where
        buy(tmp_path, config_of(tiny_folders["sd1"], again.url))
        assert len(again.asked) == 3


def test_killed_between_and_within_requests_it_pays_nothing_twice(tiny_folders, tmp_path):
    """SIGKILL as soon as the second request is in: its prompts may be lost, its price is not, and no more is."""
    slow = lambda request: Reply(fresh(request).body, silence=0.2)  # noqa: E731
    with serving(slow) as endpoint:
        arguments = [str(tmp_path), str(tiny_folders["sd1"]), endpoint.url]
        script = [sys.executable, str(ROOT / "tests" / "tasks" / "buyer.py"), *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(script, env=environment, cwd=ROOT)
        try:
            while len(endpoint.asked) < 2:
                assert process.poll() is None
                time.sleep(0.01)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        kept = prompt_store(tmp_path, "prompts")["prompt"].tolist()
        assert len(kept) == 2 and prompt_store(tmp_path, "requests")["state"].tolist() == ["answered", "open"]
        buy(tmp_path, config_of(tiny_folders["sd1"], endpoint.url))
        assert len(endpoint.asked) == 5  # the four that are needed, and the one that was killed
    assert prompt_store(tmp_path, "prompts")["prompt"].tolist()[:2] == kept
    assert len(prompt_store(tmp_path, "requests")) == 5 and (table(tmp_path)["prompt"] != "").all()


def test_who_writes_follows_from_source_model_key_and_the_dataset(tiny_folders, tmp_path, monkeypatch):
    def author(**prompts: object) -> BuildConfig:
        config = config_of(tiny_folders["sd1"], "http://localhost:1/v1", prompts=prompts)
        return config.model_copy(update={"prompts": with_author(config.prompts, tmp_path / "data")})

    assert author(source="auto").prompts.source == author(source="llm").prompts.source == "llm"
    assert author(source="grammar").prompts.model is None
    assert author(source="grammar").identity() == author(source="auto", model=None).identity()
    with pytest.raises(ValueError, match=r"prompts\.source: llm needs a model"):
        author(model=None)
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    assert key_of(author().prompts) is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk\nsecret")
    with pytest.raises(ValueError, match=r"OPENAI_API_KEY contains line breaks") as refused:
        author(source="auto")
    assert "sk" not in str(refused.value).split()
    monkeypatch.delenv("OPENAI_API_KEY")
    without = author(source="auto")
    assert without.prompts.source == "grammar" and "no key for m" in describe_prompts(without, tmp_path / "data")
    templates = without.model_copy(update={"templates": ("a {category}",)})
    assert describe_prompts(templates, tmp_path / "data") == "own templates, since there is no key for m"
    with pytest.raises(
        ValueError, match=r"prompts\.source: m needs a key to write prompts.*OPENAI_API_KEY.*prompts\.secret"
    ):
        check_purchase(author(), tmp_path / "data")
    with open_writer(tmp_path / "data", without):
        pass
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert author(source="auto").prompts.source == "grammar"  # as it was begun


def test_a_budget_without_room_for_one_request_is_refused_before_anything_is_written(
    tiny_folders, tmp_path, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    prices = {"m": {"input": 1, "output": 2}}
    for budget in ({"max_tokens": 1}, {"max_money": 0, "prices": prices}):
        config = config_of(tiny_folders["sd1"], "http://localhost:1", prompts=budget)
        with pytest.raises(ValueError, match=rf"prompts\.{next(iter(budget))}: 0 of"):
            check_purchase(config, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_dry_run_tells_the_most_it_can_take(tiny_folders, tmp_path):
    prices = {"m": {"input": 1, "output": 2}}
    config = config_of(tiny_folders["sd1"], "http://localhost:1/v1", prompts={"max_money": 5, "prices": prices})
    told = describe_prompts(config, tmp_path / "data")
    assert (
        told.startswith("6 of m in 4 requests") and "money; the build stops before 1000000 tokens or 5 in money" in told
    )
