"""A dataset's stored config, read by another version of maskmill."""

import pytest

from models.config.build import BuildConfig
from models.errors import UserError

STORED = BuildConfig(classes=("ball",), count=2).model_dump(mode="json", by_alias=True)


def test_a_stored_config_is_read_as_it_was():
    assert BuildConfig.of_stored(STORED) == BuildConfig(classes=("ball",), count=2)


@pytest.mark.parametrize("change, said", [({"later": 1}, "later: no such field"), ({"cut": {"tau": 7}}, "tau")])
def test_a_stored_config_of_another_version_is_refused_in_words(change, said):
    with pytest.raises(UserError, match=f"stored config is not valid in this version .*{said}.*use the version"):
        BuildConfig.of_stored(STORED | change)
