"""A build whose prompts a language model writes: from the class names to the report, and on from there."""

import pytest

from flows.build import build, extend
from storage.dataset.reader import open_dataset
from tests.flows.conftest import changed
from tests.models.prompts.endpoint import Reply, fresh, serving


def test_a_build_and_its_extension_take_a_models_prompts_and_the_report_says_so(config, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    out = tmp_path / "dataset"
    with serving(fresh, fresh, Reply("{}", 401), fresh) as endpoint:
        prompts = {"model": "m", "base_url": endpoint.url, "per_request": 2}
        record = build(changed(config, count=2, prompts=prompts), out)
        assert len(endpoint.asked) == 2 and record.planned == 2
        with pytest.raises(ValueError, match="OPENAI_API_KEY"):
            extend(out, 4)
        assert open_dataset(out).version == "v1" and len(open_dataset(out)) == 2
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(ValueError, match=r"there is no key"):
            extend(out, 4)
        monkeypatch.setenv("OPENAI_API_KEY", "another")
        assert build(changed(config, count=6, prompts=prompts), out).version == "v2"
    dataset = open_dataset(out)
    bought = dataset.prompt_store("prompts")
    samples = dataset.frame()
    assert set(samples["prompt_source"]) == {"m/prompt v1"} and set(samples["prompt"]) <= set(bought["prompt"])
    assert samples["prompt"].is_unique and dataset.config["prompts"]["source"] == "llm"
    assert dataset.statistics["prompts"]["measured"] == 6
    assert "prompts by m/prompt v1" in (out / "report" / "index.html").read_text()


def test_without_a_key_the_grammar_writes_and_the_report_says_so(config, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    build(changed(config, count=1, prompts={"model": "m"}), tmp_path / "dataset")
    assert set(open_dataset(tmp_path / "dataset").frame()["prompt_source"]) == {"grammar"}
    page = (tmp_path / "dataset" / "report" / "index.html").read_text()
    assert "prompts by built-in grammar, since there was no key for m" in page
