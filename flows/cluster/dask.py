"""Steps on a Dask cluster: one of this run's own, or one whose scheduler is given by its address.

What goes between the processes of one run (a step, its configuration and references, its final state) goes
as Dask and Prefect send it, which is pickled: whoever may speak to a scheduler may run code on its workers.
Nothing is ever read from the store that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import KilledWorker
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.tasks import Task
from prefect_dask.client import PrefectDaskClient
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from flows._step import DEVICE
from flows.cluster.connection import connected, own, quiet
from flows.cluster.forwarding import received
from inception_loop.errors import InceptionLoopError

GPU = "GPU"
"""What a worker declares that has a device: ``dask worker --resources GPU=1``."""


class StepFuture(PrefectDaskFuture[Any]):
    """What a step will have made."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Wait for the step and return what it made.

        Raises
        ------
        InceptionLoopError
            If worker after worker was lost with it.
        """
        try:
            return super().result(timeout, raise_on_failure)
        except KilledWorker as error:
            raise InceptionLoopError(
                f"{error.allowed_failures + 1} workers were lost while they computed the same step, the last "
                f"{error.last_worker.address}; expected them to live; look for what ended them (memory?)"
            ) from error


class DaskRunner(DaskTaskRunner):
    """Runs the steps of one flow run on a cluster.

    Parameters
    ----------
    cluster
        As the setting: ``local:N`` or the address of a scheduler.
    """

    def __init__(self, cluster: str) -> None:
        super().__init__()
        self._where = cluster
        self._gpu = False

    def duplicate(self) -> DaskRunner:
        """Return a runner on the same cluster."""
        return DaskRunner(self._where)

    def __enter__(self) -> DaskRunner:
        """Begin a run; its own cluster starts with the first step, and the runs within it share that."""
        super().__enter__()  # type: ignore[no-untyped-call]
        self._exit_stack.enter_context(quiet())
        self._exit_stack.enter_context(own.used())
        return self

    @property
    def client(self) -> PrefectDaskClient:
        """The connection of this run."""
        if self._client is None:
            self._client = self._exit_stack.enter_context(connected(self._where))
            self._exit_stack.enter_context(received(self._client, _flow_run_id()))
            workers = self._client.scheduler_info()["workers"].values()
            self._gpu = any(GPU in worker["resources"] for worker in workers)
        return self._client

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> Any:
        """Submit a step; futures among its parameters are those of earlier steps."""
        client = self.client
        with _server_named():
            future = client.submit(
                task,
                parameters=self._optimize_futures(parameters),
                wait_for=self._optimize_futures(wait_for) if wait_for else None,
                dependencies=dependencies,
                return_type="state",
                resources={GPU: 1} if self._gpu and DEVICE in task.tags else None,
            )
        step = StepFuture(wrapped_future=future, task_run_id=future.task_run_id)
        # Fetched as soon as it is there: a state that is lost with its worker comes back as that of a hit.
        step.add_done_callback(lambda done: done.wait())
        return step


def _flow_run_id() -> str:
    run = FlowRunContext.get()
    if run is None or run.flow_run is None:
        raise RuntimeError("a step was submitted outside a run; expected a flow around it")
    return str(run.flow_run.id)


@contextmanager
def _server_named() -> Iterator[None]:
    """Name the server of this run to the workers where it is one that Prefect started for this process."""
    run = FlowRunContext.get()
    if run is None or PREFECT_API_URL.value():
        yield
        return
    with temporary_settings({PREFECT_API_URL: str(run.client.api_url)}):
        yield
