"""A server's own words about an error, from a body of any form, as one printable line.

Knows nothing of what the words mean.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import unescape
from typing import Any

SAID = ("message", "error", "detail", "details", "msg", "reason", "error_description", "description", "title", "errors")
CODES = ("code", "type", "param", "status", "error_type", "loc")
DEPTH = 6  # of the nesting in which words are looked for
SECRET = 8  # characters of the shortest key that is hidden: 'none', which a local server is given, is no secret


def words_of(body: Any, key: str = "", limit: int = 160) -> str:
    """The words in an error's body: text, HTML, or JSON; '' if it has none.

    Known forms are {"error": "text"}, {"error": {"message": ...}}, {"detail": "text" or a list of {loc, msg}},
    {"message": {...}}, and lists of these. `key` is hidden.
    """
    text = "; ".join(dict.fromkeys(_found(_parsed(body), DEPTH)))
    return one_line(text.replace(key, "***") if len(key) >= SECRET else text, limit)


def about(body: Any) -> str:
    """The words and the codes in an error's body, for a search: without the request, which some servers repeat."""
    body = _parsed(body)
    return "; ".join([*_found(body, DEPTH), *_codes(body, DEPTH)])[:4000]


def one_line(text: str, limit: int = 160) -> str:
    """A text as one printable line of `limit` characters at most."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 20 * limit]).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def _parsed(body: Any) -> Any:
    if isinstance(body, str):
        with suppress(ValueError, RecursionError):
            return json.loads(body)
    return body


def _codes(value: Any, depth: int) -> Iterator[str]:
    items = value if isinstance(value, list) else [value]
    for item in [item for item in items if isinstance(item, Mapping)] if depth else []:
        yield from (str(item[name]) for name in CODES if item.get(name))
        for name in SAID:
            yield from _codes(item.get(name), depth - 1)


def _found(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if text := _without_tags(value).strip():
            yield text
    elif isinstance(value, list) and depth:
        for item in value[:3]:
            yield from _found(item, depth - 1)
    elif isinstance(value, Mapping) and depth:
        yield from _in_mapping(value, depth)


def _in_mapping(value: Mapping[Any, Any], depth: int) -> Iterator[str]:
    """Its words, after the field they are about (FastAPI), and before the words of the server behind a gateway."""
    fields = {str(name).lower(): item for name, item in value.items()}
    words = next((found for name in SAID if (found := list(_found(fields.get(name), depth - 1)))), [])
    if not words and (code := fields.get("code") or fields.get("type")):
        words = [str(code)]
    if words and isinstance(place := fields.get("loc"), list):
        words[0] = f"{'.'.join(map(str, place))}: {words[0]}"
    yield from words
    if isinstance(behind := fields.get("metadata"), Mapping):  # OpenRouter's
        yield from _found(behind.get("raw"), depth - 1)


def _without_tags(text: str) -> str:
    """The text of a page of HTML; other text unchanged."""
    if not re.match(r"\s*<(!doctype|html|head|body|\?xml)", text, re.IGNORECASE):
        return text
    return unescape(re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text[:100_000]))
