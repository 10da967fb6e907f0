"""Check of the Prefect server that the user has configured, before a flow needs it."""

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from models.errors import UserError


def check_server() -> None:
    """UserError if a server is configured and does not answer."""
    url = PREFECT_API_URL.value()
    if not url:
        return
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
            error = client.api_healthcheck()
    except Exception as raised:  # from Prefect and its HTTP library, which share no base error
        error = raised
    if error is not None:
        raise UserError(
            f"PREFECT_API_URL: no Prefect server answers at {url} ({type(error).__name__}: {error}); start it, or "
            "unset it to use a temporary one"
        )
