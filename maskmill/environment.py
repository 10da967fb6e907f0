"""Environment variables that maskmill sets for its libraries, which read them when they are imported, and its children.

Variables that the user has set stay as they are.
"""

import os
import tempfile
import warnings
from pathlib import Path

HERE = ("127.0.0.1", "localhost", "::1")


def prepare_environment() -> None:
    """Set what the user has not set."""
    _set_home()
    _set_prefect_defaults()
    _ask_this_machine_directly()
    # Threads that wait for others sleep: spinning, they would take the cores of a process that computes beside this
    # one, which then spins itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _set_home() -> None:
    """A home where there is none: a user without an entry in the system's list, as containers are started with."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()


def _set_prefect_defaults() -> None:
    """Less patience, and fewer words.

    A request that is not answered in time is repeated, for three minutes in all; then the work continues without
    Prefect. It would log an error with its traceback once for the task and once for each enclosing flow.
    """
    os.environ.setdefault("PREFECT_API_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "4")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory")  # nothing is written there


def _ask_this_machine_directly() -> None:
    """Exempt this machine from proxies; a lower-case name wins, as in most libraries."""
    exempt = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    names = [name.strip() for name in exempt.split(",") if name.strip()]
    if "*" not in names:
        exempt = ",".join([*names, *(name for name in HERE if name not in names)])
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = exempt
