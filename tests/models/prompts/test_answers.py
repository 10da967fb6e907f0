"""Answers of models as servers pass them on: the JSON is found in what is around it, and what is wrong is told."""

import json
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prompts.answers import Answer, prompts_in, read_answer
from models.prompts.typography import plain_form

TEXTS = ("a dog on a hill", "a dog in the snow")
JSON = json.dumps({"prompts": TEXTS})
LIST = json.dumps(TEXTS)


def read(content: object, reason: str = "stop", completion_tokens: object = 100, **message: object) -> Answer:
    choice = SimpleNamespace(message=SimpleNamespace(content=content, **message), finish_reason=reason)
    usage = SimpleNamespace(prompt_tokens=300, completion_tokens=completion_tokens)
    return read_answer(SimpleNamespace(choices=[choice], usage=usage), 4096, (1000, 4096))


WRAPPED = {
    "alone": JSON,
    "a fence": f"```json\n{JSON}\n```",
    "a fence without a language": f"```\n{JSON}\n```",
    "talk": f"Here you are:\n\n{JSON}\n\nDo you want [more]?",
    "a list": LIST,
    "a fenced list": f"```\n{LIST}\n```",
    "objects": json.dumps([{"id": i, "prompt": text} for i, text in enumerate(TEXTS)]),
    "objects within": json.dumps({"prompts": [{"prompt": text} for text in TEXTS]}),
    "one object a line": "\n".join(json.dumps({"prompt": text}) for text in TEXTS),
    "thought": f"<think>\nhm\n</think>\n{JSON}",
    "a draft in thought": f'<think>{{"prompts": ["a draft of it"]}} no.</think>{JSON}',
    "thought without its beginning": f'I start with {{"prompts": ["a draft"]}}.\n</think>\n\n{JSON}',
    "another tag": f"<Reasoning>hm</Reasoning>{JSON}",
    "Mistral's tag": f"[THINK]hm[/THINK]{JSON}",
    "channels": f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{JSON}",
    "parts": [{"type": "text", "text": JSON[:20]}, {"type": "text", "text": JSON[20:]}],
    "a part of thought": [{"type": "thinking", "thinking": [{"type": "text", "text": LIST[:30]}]}, {"text": JSON}],
    "a comma too many": JSON.replace("]}", "], }"),
    "a line break within": JSON.replace(" on", "\n on"),
}


@pytest.mark.parametrize("content", WRAPPED.values(), ids=WRAPPED)
def test_json_is_found_in_what_a_model_puts_around_it(content):
    answer = read(content)
    assert [" ".join(text.split()) for text in answer.prompts] == [*TEXTS] and answer.problem == ""


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_an_answer_that_a_server_takes_for_reasoning_is_an_answer(name):
    assert read(None, **{name: JSON}).prompts == TEXTS
    assert read("", "length", 4096, **{name: JSON}).prompts == ()


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.text('ab {}[]":\n`<>/', max_size=30))
def test_any_texts_come_back_out_of_any_talk_that_ends_before_them(texts, talk):
    if '"' not in talk:  # an open quotation mark takes the answer for its own
        found = prompts_in(f"{talk}\n{json.dumps({'prompts': texts})}")
        assert found == tuple(texts)


@given(st.text(max_size=200))
def test_no_content_breaks_it(content):
    for reason in ("stop", "length"):
        answer = read(content, reason)
        assert all(text == plain_form(text) for text in answer.prompts)


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, '["a",' * 200_000, "[1]" * 200_000])
def test_a_hostile_answer_takes_seconds_at_most(content):
    start = time.monotonic()
    assert not read(content).prompts and not read(content, "length").prompts
    assert time.monotonic() - start < 20


CUT = {
    "in the list": ('{"prompts": ["a dog on a hill", "a d', "length", 4096, TEXTS[:1], "raise prompts.max_answer"),
    "before it": ('{"prompts": ["a dog', "length", 4096, (), "raise prompts.max_answer"),
    "in thought": ("<think>I wonder", "length", 4096, (), "raise prompts.max_answer"),
    "Mistral's word": ('["a dog on a hill", "a d', "model_length", 4096, TEXTS[:1], "raise prompts.max_answer"),
    "by another limit": ('{"prompts": ["a dog on a hill", "a', "length", 100, TEXTS[:1], "prompts.per_request"),
}  # fmt: skip


@pytest.mark.parametrize("content, reason, tokens, prompts, mend", CUT.values(), ids=CUT)
def test_a_cut_answer_gives_what_is_whole_and_names_the_setting(content, reason, tokens, prompts, mend):
    answer = read(content, reason, tokens)
    assert answer.prompts == prompts and "cut off" in answer.problem and mend in answer.mend
    assert answer.cut_early == (tokens < 4096) and ("while it reasoned" in answer.problem) == ("think" in content)


def test_reasoning_that_takes_every_token_is_told():
    for name in ("reasoning_content", "reasoning"):
        answer = read("", "length", 4096, **{name: "long"})
        assert answer.problem == "an empty answer: cut off at prompts.max_answer, while it reasoned"
        assert answer.mend == "raise prompts.max_answer"


def test_refusals_are_told_in_the_models_words():
    assert read(None, refusal="I can't help with that.").problem == "a refusal (I can't help with that.)"
    assert "content filter" in read("", "content_filter").problem
    assert read(None).problem == "an empty answer" and read("No.").problem == "not the JSON asked for"


@pytest.mark.parametrize("count, counted", [(12.0, 12), (12.5, 13), (float("nan"), 4096), (True, 4096), ("9", 4096)])
def test_tokens_are_counted_as_reported_if_that_can_be_believed(count, counted):
    assert read(JSON, completion_tokens=count).output_tokens == counted


def test_a_stream_and_a_page_are_named():
    stream = read_answer('data: {"id": "x"}\n\ndata: [DONE]', 4096, (1, 2))
    assert "a stream" in stream.problem and (stream.input_tokens, stream.output_tokens) == (1, 2)
    page = read_answer(
        "<!doctype html><html><title>Login</title><script>x()</script><p>Welcome</p></html>", 4096, (1, 2)
    )
    assert page.problem == "no chat completion (Login Welcome)" and "prompts.base_url" in page.mend
