"""A key from a Secret block: given by the configured server, or refused in a line that says what to do."""

import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from models.config.prompts import PromptConfig
from models.errors import UserError
from tasks.prompts import key_of

CONFIG = PromptConfig(source="llm", model="m", secret="the-key")


def test_a_block_gives_the_key_and_is_created_where_it_is_missing(prefect_server):
    with pytest.raises(UserError, match="no Secret block named 'the-key'; create it"):
        key_of(CONFIG)
    Secret(value="sk-1").save("the-key")
    assert key_of(CONFIG) == "sk-1"


@pytest.mark.parametrize(
    "url, says", [(None, "no Prefect server is configured"), ("http://127.0.0.1:1/api", "start the")]
)
def test_without_a_server_there_are_no_blocks(prefect_server, url, says):
    with (
        temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}),
        pytest.raises(UserError, match=says),
    ):
        key_of(CONFIG)
