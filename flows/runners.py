"""Where submitted tasks run: threads of this process, own Dask workers, or a running Dask cluster."""

from typing import Any

from prefect.task_runners import ConcurrentTaskRunner, TaskRunner
from prefect_dask import DaskTaskRunner

from models.config.run import RunConfig


def cut_runner(run: RunConfig) -> TaskRunner[Any]:
    """Cuts need processes to run beside each other (PyMaxflow holds the GIL), one thread each."""
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
