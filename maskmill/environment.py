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
    _set_proxies()
    # Threads that wait for others sleep: spinning, they would take the cores of a process that computes beside this
    # one, which then spins itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _set_home() -> None:
    """A home where there is none: a user without an entry in the system's list, as containers are started with.

    A folder of this user's among the temporary ones, the same for all commands.
    """
    try:
        Path.home()
    except RuntimeError:
        home = Path(tempfile.gettempdir(), f"maskmill-{os.getuid()}")
        home.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(home) if home.stat().st_uid == os.getuid() else tempfile.mkdtemp()


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


def _set_proxies() -> None:
    """Exempt this machine from proxies, and write socks://, as desktops do, as the HTTP libraries know it.

    A lower-case name wins, as it does in these libraries.
    """
    for name, value in list(os.environ.items()):
        if name.lower() in ("all_proxy", "http_proxy", "https_proxy") and value.startswith("socks://"):
            os.environ[name] = value.replace("socks://", "socks5://", 1)
    exempt = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    names = [name.strip() for name in exempt.split(",") if name.strip()]
    if "*" not in names:
        exempt = ",".join([*names, *(name for name in HERE if name not in names)])
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = exempt
