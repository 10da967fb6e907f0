"""Plain form: what models and word processors put for plain marks is those marks, and nothing else changes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prompts.typography import plain_form, plain_marks

PLAIN = {
    "a T\u2011shirt on a hill": "a T-shirt on a hill",
    "a\u00a0dog\u202fon\u2009a\u3000hill": "a dog on a hill",
    "a dog\u2026 on a hill": "a dog... on a hill",
    "a \u201csleeping\u201d dog\u2019s bed": 'a "sleeping" dog\'s bed',
    "a dog \u2013 close\u2010up": "a dog - close-up",
    "a dog\u2014soft light": "a dog - soft light",
    "a dog \u2014 soft light": "a dog - soft light",
    "an e\u0301toile on a hill": "an étoile on a hill",
    "a hill\u00adside\u200b with a \ufeffdog": "a hillside with a dog",
    "a \ufb01ne dog": "a fine dog",
    "a \uff44\uff4f\uff47\uff0c sitting": "a dog, sitting",
    "a dog at f\u20442.8": "a dog at f/2.8",
    "  a dog   on a hill ": "a dog on a hill",
}


@pytest.mark.parametrize("text, plain", PLAIN.items(), ids=PLAIN.values())
def test_typography_is_brought_to_plain_form(text, plain):
    assert plain_form(text) == plain


@pytest.mark.parametrize(
    "text", ["a dog\non a hill", "a dog\ton", "a d\u043eg", "a dog \u202eon", "a dog 🐕", "a <b>dog"]
)
def test_what_is_not_typography_stays_for_the_checks_to_reject(text):
    assert plain_form(text) == text


@given(st.text(max_size=50))
def test_plain_form_is_its_own_plain_form(text):
    plain = plain_form(text)
    assert plain_form(plain) == plain and plain_marks(plain) == plain and unicodedata.is_normalized("NFKC", plain)


@given(st.text("abc XYZ,.-'\"()/;:!%&0123", max_size=50))
def test_plain_text_stays_as_it_is(text):
    assert plain_form(text) == " ".join(text.split(" ")).strip() or "  " in text
