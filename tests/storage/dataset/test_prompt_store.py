"""The prompt store: what is still lacking of the prompts that a dataset needs."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from storage.dataset.prompt_store import lacking, no_rows

names = st.sampled_from(["cat", "red dog", "owl"])
rows = st.lists(st.tuples(names, st.sampled_from(["", "a duplicate"])), max_size=20)


@given(rows, st.dictionaries(names, st.integers(0, 9)))
def test_what_is_accepted_and_what_is_lacking_make_what_is_needed(bought, needed):
    table = pd.concat([no_rows("prompts"), pd.DataFrame(bought, columns=["category", "reason"], dtype=object)])
    found = lacking(table, needed)
    assert all(number > 0 for number in found.values())
    for name, number in needed.items():
        accepted = sum((name, "") == row for row in bought)
        assert max(accepted, number) == accepted + found.get(name, 0)
