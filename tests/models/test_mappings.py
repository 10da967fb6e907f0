"""Differences of configurations: none between equals, each found by its dotted name, and both values told."""

from hypothesis import given
from hypothesis import strategies as st

from models.mappings import differences, leaves

NAMES = st.sampled_from(["alpha", "beta", "gamma"])
VALUES = st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2) | st.text("xy", max_size=2)
TREES = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=3), lambda t: st.dictionaries(NAMES, t | VALUES, max_size=3), max_leaves=8
)


@given(TREES, TREES)
def test_what_differs_is_what_is_not_equal_at_the_end_of_the_same_path(before, after):
    found = differences(before, after, absent="absent")
    for name in leaves(before) | leaves(after):
        values = tuple(at(side, name) for side in (before, after))
        assert found.get(name, values) == values and (name in found) == (values[0] != values[1])
    assert found.keys() <= leaves(before).keys() | leaves(after).keys()
    assert differences(before, before) == {}


def at(tree, name):
    for part in name.split("."):
        tree = tree.get(part, "absent") if isinstance(tree, dict) else "absent"
    return "absent" if isinstance(tree, dict) else tree


def test_they_come_in_the_order_of_the_first_and_then_of_the_second():
    before = {"seed": 0, "cut": {"tau": 0.5, "alpha": 1.0}, "groups": {}}
    after = {"cut": {"alpha": 2.0, "tau": 0.5}, "seed": 1, "groups": {"ball": "toy"}}
    expected = {"seed": (0, 1), "cut.alpha": (1.0, 2.0), "groups.ball": (None, "toy")}
    assert list(differences(before, after).items()) == list(expected.items())
