"""Safe names differ from each other and from the background, and a name that is safe stays."""

from hypothesis import given
from hypothesis import strategies as st

from storage.exports.names import BACKGROUND, safe_names

NAMES = st.lists(st.text("ab:# ", max_size=4) | st.just(BACKGROUND) | st.just("a (2)"), unique=True)


def safe(name: str) -> str:
    return name.replace(":", "_").strip()


@given(NAMES)
def test_names_are_safe_and_apart(names):
    found = safe_names(names, safe)
    assert len(set(found)) == len(names) and BACKGROUND not in found and "" not in found
    assert all(safe(name) == name for name in found)
    assert all(
        new == name for name, new in zip(names, found, strict=True) if safe(name) == name not in ("", BACKGROUND)
    )
