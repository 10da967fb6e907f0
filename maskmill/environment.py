"""What maskmill sets in the environment for Prefect, which reads it when it is imported."""

import os


def set_prefect_defaults() -> None:
    """Values for what the user has not set.

    The server that Prefect starts where none is configured can be slow to come; and an error it would log once for the
    task and once for each flow around it, with a traceback each.
    """
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
