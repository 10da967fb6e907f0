"""A build from Python, with the checks of the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from maskmill import rooms
from maskmill.environment import prepare_environment
from models.config.build import BuildConfig
from models.paths import given_path

if TYPE_CHECKING:
    from flows.build import BuildRecord


def build(config: BuildConfig, out: str | Path) -> "BuildRecord":
    """Build the dataset at `out`, resume it, or extend it to a larger count; a finished dataset stays unchanged.

    Returns a record of the published version: path, version, planned, kept, rejected (a count for each reason),
    failed, and report, the path of its page. UserError, before anything is written, if the build is not possible. A
    stopped build keeps its committed shards, and the same call resumes it. UserError also if its trial stops the build
    (docs/gpu.md); the trial's samples are then published.
    """
    prepare_environment()
    from flows.build import build as run_build
    from flows.build import record_of
    from flows.checks.build import fetch_networks, is_finished, preflight
    from flows.server.configured import check_server
    from storage.dataset.reader import open_dataset

    out = given_path(out)
    plan = preflight(config, out)
    if is_finished(plan):
        return record_of(out, open_dataset(out).version, out / "report" / "index.html")
    fetch_networks(plan)
    with rooms.first_on_path():
        check_server()
        return run_build(plan.config, out)
