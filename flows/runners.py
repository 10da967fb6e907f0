"""Task runners: threads of this process, new Dask workers, or a running Dask cluster."""

from typing import Any

from prefect.task_runners import ConcurrentTaskRunner, TaskRunner
from prefect_dask import DaskTaskRunner

from models.config.run import RunConfig


def cut_runner(run: RunConfig) -> TaskRunner[Any]:
    """The runner of cuts: parallel cuts need processes of one thread each, since PyMaxflow holds the GIL."""
    if run.address:
        return DaskTaskRunner(address=run.address)
    if run.workers:
        return DaskTaskRunner(
            cluster_kwargs={
                "n_workers": run.workers,
                "threads_per_worker": 1,
                "processes": True,
                "dashboard_address": None,
                "env": {"OMP_NUM_THREADS": "1"},
            }
        )
    return ConcurrentTaskRunner(max_workers=1)
