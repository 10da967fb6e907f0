"""Environment variables that maskmill sets for Prefect, which reads them when it is imported."""

import os


def set_prefect_defaults() -> None:
    """Set defaults for the variables that the user has not set.

    Prefect's temporary server can be slow to start. Prefect would also log an error with its traceback once for the
    task and once for each enclosing flow.
    """
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
