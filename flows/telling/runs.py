"""What every run of a flow is called, and what is done as it begins and ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger
from prefect.states import Completed

from flows.telling import events, notify
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import InceptionLoopError

R = TypeVar("R")
LISTED = 3
PASSED_OVER = "Passed over"
"""How a run ends that knows of something wrong which everybody was told of."""
BY_ITSELF = {"SCHEDULE", "AUTOMATION"}
"""What Prefect calls the makers of runs that nobody asked for."""
_without_news: set[str] = set()
_SCAN = re.compile(r"/animal_id=(\d+)/session=(\d+)/scan_idx=(\d+)/")


def watched(name: Callable[[Any], str]) -> dict[str, Any]:
    """Return the options of a flow that is named after its parameters, keeps its events and tells its end.

    Parameters
    ----------
    name
        Says from the flow's parameters what a run of it does.
    """

    def named() -> str:
        run = FlowRunContext.get()
        assert run is not None
        try:
            return name((run.parameters or {})["parameters"])
        except InceptionLoopError:  # the flow itself says what is wrong with its parameters
            return run.flow.name if run.flow is not None else "run"

    ended = [end_of_run]
    return {
        "flow_run_name": named,
        "on_running": [begin_of_run],
        "on_completion": ended,
        "on_failure": ended,
        "on_crashed": ended,
        "on_cancellation": ended,
    }


def begin_of_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Keep the events of a run that is no part of another."""
    events.begin(str(flow_run.id), flow.name, flow_run_logger(flow_run, flow))
    if flow_run.parent_task_run_id is None:
        notify.check()


def end_of_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Write the last events of a run that is no part of another, and tell whom it concerns.

    Of a run that was killed or cancelled, its worker calls this.
    """
    counted = events.end(str(flow_run.id))
    quiet = state.is_completed() and str(flow_run.id) in _without_news
    _without_news.discard(str(flow_run.id))
    if flow_run.parent_task_run_id is None and not quiet:
        notify.ended(flow.name, flow_run, state, counted)


def no_news() -> None:
    """Say that the run that the caller is in found nothing to do: if it ends well, nobody is told."""
    run = FlowRunContext.get()
    if run is not None and run.flow_run is not None:
        _without_news.add(str(run.flow_run.id))


def completed(result: R, message: str, name: str | None = None) -> R:
    """Return what a flow returns to end well with some words, and under a name of its own.

    Parameters
    ----------
    result
        What callers of the flow get: of a state that a flow returns, Prefect hands on the data.
    message
        What the run's state says.
    name
        What the state is called; by default Completed.
    """
    return cast(R, Completed(name=name, message=message, data=result))


def by_itself() -> bool:
    """Whether a schedule or an automation started the run that the caller belongs to, and no person.

    Where the server does not say, a person did.
    """
    here, whole = FlowRunContext.get(), events.origin()
    if here is None or here.flow_run is None:
        return False
    run = here.flow_run
    if whole is not None and whole.run_id != str(run.id):
        with suppress(Exception), get_client(sync_client=True) as client:
            run = client.read_flow_run(UUID(whole.run_id))
    return run.auto_scheduled or (run.created_by is not None and run.created_by.type in BY_ITSELF)


def rename(name: str) -> None:
    """Call the run that the caller is in by what it has found out."""
    run = FlowRunContext.get()
    if run is not None and run.flow_run is not None:
        run.client.set_flow_run_name(run.flow_run.id, name)


def scans(refs: Iterable[ArtifactRef]) -> str:
    """Return the scans that some artifacts are of, as their addresses say.

    Examples
    --------
    >>> digest = "0" * 64
    >>> where = f"memory://x/recording/animal_id=17/session=1/scan_idx=2/{digest}"
    >>> scans([ArtifactRef(kind="recording", digest=digest, uri=where)] * 5)
    '17-1-2, 17-1-2, 17-1-2 and 2 more'
    """
    found = [_SCAN.search(ref.uri) for ref in refs]
    names = ["-".join(scan.groups()) if scan else "?" for scan in found]
    more = f" and {len(names) - LISTED} more" if names[LISTED:] else ""
    return ", ".join(names[:LISTED]) + more
