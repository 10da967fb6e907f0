"""Names of files: what a table and a file system can hold of them, and which belong together."""

import json
import unicodedata
from pathlib import PurePath

from hypothesis import given
from hypothesis import strategies as st

from models.errors import UserError, encodable
from storage.photos.names import bare, partners, shortened

BYTES = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and b"/" not in name)
NAMES = BYTES.map(lambda name: name.decode("utf-8", "surrogateescape"))


@given(NAMES)
def test_any_name_becomes_text_that_can_be_encoded_and_utf8_stays(name):
    said = encodable(name)
    assert said.encode().decode() == said == encodable(said) and json.loads(json.dumps(said).encode()) == said
    assert str(UserError(f"{name}: torn")) == f"{said}: torn"
    try:
        name.encode()
    except UnicodeEncodeError:
        assert "%" in said and said != name
    else:
        assert said == name


def test_a_byte_that_is_not_utf8_is_shown_by_its_digits():
    assert encodable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf%E9" and encodable("\ud834") == "%uD834"


@given(NAMES, st.integers(20, 250))
def test_a_shortened_name_fits_and_a_short_one_stays(name, limit):
    short = shortened(name, limit)
    assert len(short.encode()) <= limit and "\N{REPLACEMENT CHARACTER}" not in short.replace(name, "")
    assert (short == encodable(name)) == (len(encodable(name).encode()) <= limit)


@given(st.text(alphabet="é", min_size=130, max_size=130), st.sets(st.text("abc", min_size=1), min_size=2, max_size=9))
def test_long_names_that_differ_at_their_ends_stay_apart(beginning, ends):
    assert len({shortened(beginning + end, 100) for end in ends}) == len(ends)


def test_a_suffix_that_is_no_pictures_is_a_part_of_the_name():
    names = ("a.jpg", "a.JFIF", "b#x.y.png", "frame.0001", "a.jpg_original", "none", "v1.2")
    assert [bare(PurePath(name)) for name in names] == [
        "a",
        "a",
        "b#x.y",
        "frame.0001",
        "a.jpg_original",
        "none",
        "v1.2",
    ]


@given(st.sets(st.text(min_size=1), max_size=9), st.sampled_from(["NFC", "NFD"]), st.sampled_from(["NFC", "NFD"]))
def test_names_that_look_alike_are_partners(names, form, other):
    """Those that become equal by composition pair once each, whatever form the two sides are stored in."""
    left = {unicodedata.normalize(form, name) for name in names}
    right = {unicodedata.normalize(other, name) for name in names}
    found = partners(left, right)
    assert found.keys() == left and set(found.values()) == right
    assert all(unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b) for a, b in found.items())


def test_an_equal_name_is_the_partner_before_one_that_only_looks_alike():
    one, two = "é", unicodedata.normalize("NFD", "é")
    assert partners([one, two], [two, one]) == {one: one, two: two}
