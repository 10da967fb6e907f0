"""A server's words are found in every form of body that servers are known to send, on one line, without the key."""

import json

import pytest

from models.prompts.error_text import about, words_of

BODIES = {
    "OpenAI": {"error": {"message": "MARKER", "type": "invalid_request_error", "param": None, "code": None}},
    "LM Studio": {"error": "MARKER"},
    "TGI": {"error": "MARKER", "error_type": "validation"},
    "FastAPI": {"detail": "MARKER"},
    "FastAPI's list": {"detail": [{"loc": ["body", "x"], "msg": "MARKER", "input": {}}]},
    "FastAPI's object": {"detail": {"error": {"message": "MARKER"}}},
    "Mistral": {"object": "error", "message": {"detail": [{"msg": "MARKER"}]}, "type": "invalid"},
    "vLLM": {"object": "error", "message": "MARKER", "code": 400},
    "Gemini": [{"error": {"code": 400, "message": "MARKER", "status": "INVALID_ARGUMENT"}}],
    "GraphQL": {"errors": [{"message": "MARKER"}]},
    "an empty error": {"error": None, "message": "MARKER"},
    "an empty message": {"error": {"message": "", "code": "MARKER"}},
    "AWS": {"Message": "MARKER"},
    "OpenRouter": {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error":"MARKER"}'}}},
    "OAuth": {"error_description": "MARKER"},
    "a page": "<html><head><title>502 MARKER</title></head><body><hr><center>nginx</center></body></html>",
    "text": "MARKER\n",
    "text as JSON": '"MARKER"',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_words_are_found(body):
    text = body if isinstance(body, str) else json.dumps(body)
    assert "MARKER" in words_of(text) and "MARKER" in about(text)
    assert "<" not in words_of(text) and "\n" not in words_of(text)


@pytest.mark.parametrize("body", ["", "{}", "[]", "null", "3", '{"error": {}}', "{" * 10_000, "[" * 100_000])
def test_a_body_without_words_has_none(body):
    assert len(words_of(body)) <= 160 and "MARKER" not in words_of(body)


def test_words_are_one_printable_line_without_the_key():
    said = words_of({"error": "Key sk-secret-1 is\n\x1b[31mwrong\x07‮ " + "x" * 500}, "sk-secret-1")
    assert said.startswith("Key *** is [31mwrong x") and said.isprintable() and len(said) == 160
    assert words_of({"error": "none of these"}, "none") == "none of these"


def test_codes_are_found_but_not_in_a_request_that_is_repeated():
    body = {"detail": [{"msg": "no", "type": "extra_forbidden", "input": {"type": "json_schema"}}]}
    assert "extra_forbidden" in about(json.dumps(body)) and "json_schema" not in about(json.dumps(body))
    assert "insufficient_quota" in about(json.dumps({"error": {"message": "x", "code": "insufficient_quota"}}))
