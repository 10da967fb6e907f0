"""Digests are those under which things were stored before there was one function for all."""

import hashlib
import json

import numpy as np
import pytest

from models import digests

VALUE = {"b": [1, 2.5, None, True, "étoile"], "a": {"z": 0}}


def test_parts_are_taken_one_after_the_other_bytes_as_they_are_and_values_as_json():
    expected = hashlib.sha256(b"photo" + json.dumps(VALUE, sort_keys=True).encode()).hexdigest()
    assert digests.of(b"photo", VALUE) == expected[:16]
    assert digests.of(b"pho", b"to", VALUE, length=64) == expected
    assert digests.of_all(iter([b"photo", VALUE]), length=8) == expected[:8]
    assert digests.of(("a", "b")) == hashlib.sha256(b'["a", "b"]').hexdigest()[:16]


def test_the_order_of_fields_does_not_count():
    assert digests.of(VALUE) == digests.of(dict(reversed(VALUE.items())))


@pytest.mark.parametrize("array", [np.arange(12).reshape(4, 3), np.arange(12.0).reshape(4, 3).T, np.empty((0, 4))])
def test_an_array_counts_as_its_bytes(array):
    assert digests.of(array) == hashlib.sha256(array.tobytes()).hexdigest()[:16]


def test_a_file_counts_as_its_content(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 999_999)
    assert digests.of_file(tmp_path / "file") == hashlib.sha256(b"x" * 999_999).hexdigest()
