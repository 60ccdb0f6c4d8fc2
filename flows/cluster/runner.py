"""Where the steps of a run are computed: by threads of this process, or by the workers of a Dask cluster."""

from __future__ import annotations

import importlib.util
from typing import Any, NoReturn

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.settings import Settings

Runner = TaskRunner[PrefectFuture[Any]]


class AsSettled(TaskRunner[PrefectFuture[Any]]):
    """Stands in a flow's decorator; every run of the flow gets what the settings say when it starts.

    Parameters
    ----------
    error
        What is wrong with the settings: the run's first step fails with it.
    """

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._error = error

    def duplicate(self) -> Any:
        """Return the runner of one run: Prefect asks for it as the run starts, and cannot stand an error."""
        try:
            settings = Settings()
            check_cluster(settings)
        except InceptionLoopError as error:
            return AsSettled(error)
        if not settings.cluster:
            return ThreadPoolTaskRunner(max_workers=settings.workers)
        from flows.cluster.dask import DaskRunner

        return DaskRunner(settings.cluster)

    def submit(self, *arguments: Any, **named: Any) -> NoReturn:
        """Refuse: steps are submitted within a run, to its own runner."""
        raise self._error or RuntimeError("a step was submitted outside a run; expected a flow around it")


def check_cluster(settings: Settings) -> None:
    """Refuse a cluster that nothing here can speak to.

    Raises
    ------
    ConfigurationError
        If one is set and its packages are not installed.
    """
    if settings.cluster and importlib.util.find_spec("prefect_dask") is None:
        raise ConfigurationError(
            f"setting 'cluster' is '{settings.cluster}', but prefect-dask is not installed; expected the "
            "extra 'cluster'; pip install 'inception-loop[cluster]', or unset INCEPTION_LOOP_CLUSTER"
        )


def runner() -> Runner:
    """Return the task runner of every stage, and of flows around stages, which then share one cluster."""
    return AsSettled()
