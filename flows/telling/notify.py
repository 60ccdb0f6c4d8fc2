"""Tells the outside world how a run ended: one small JSON message to each address that the settings name.

The addresses are secrets: whoever knows one may write there. They are never logged, shown or put into a run.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.logging.loggers import get_logger
from prefect.utilities.urls import url_for

from flows.telling import events
from inception_loop.settings import Settings

TRIES = 3
TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 20.0
"""All addresses together get no more time than this at the end of a run."""
LINE = 500


def addresses() -> list[str]:
    """Return where notifications go."""
    return Settings().notify.get_secret_value().replace(",", " ").split()


def check() -> None:
    """Warn as a run begins of what is no address; none of them is shown."""
    for place, address in enumerate(addresses(), 1):
        if not address.startswith(("https://", "http://")):
            get_logger("notify").warning(
                "entry %d of INCEPTION_LOOP_NOTIFY begins with neither https:// nor http://; "
                "expected the address of a web hook; correct it",
                place,
            )


def ended(flow: str, run: FlowRun, state: State[Any], counted: Mapping[str, Any]) -> None:
    """Send what became of a run to every address; what goes wrong with that is logged, nothing else."""
    wanted = addresses()
    if not wanted or _as_before(run, state):
        return
    counted = counted or events.totals(str(run.id))
    body = json.dumps(message(flow, _as_it_is(run), state, counted)).encode()
    senders = [
        threading.Thread(target=_send, args=(address, body, place), daemon=True)
        for place, address in enumerate(wanted, 1)
    ]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for sender in senders:
        sender.join(max(0.0, deadline - time.monotonic()))


def _as_before(run: FlowRun, state: State[Any]) -> bool:
    """Whether a run of a schedule failed with the words of the one before it: whom it concerns knows."""
    if not (run.auto_scheduled and run.deployment_id and run.expected_start_time and state.is_failed()):
        return False
    earlier = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=run.expected_start_time),
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[*TERMINAL_STATES - {StateType.CANCELLED}])
        ),
    )
    with suppress(Exception), get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=earlier, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=2
        )
        before = [one.state for one in found if one.id != run.id][
            :1
        ]  # those at the same moment are found too
        return any(one is not None and one.is_failed() and one.message == state.message for one in before)
    return False


def _as_it_is(run: FlowRun) -> FlowRun:
    """Return a run with the name that it has by now: a worker knows it from before it began."""
    with suppress(Exception), get_client(sync_client=True) as client:
        return client.read_flow_run(run.id)
    return run


def message(flow: str, run: FlowRun, state: State[Any], counted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent.

    Parameters
    ----------
    flow
        Name of the flow.
    run, state
        The run and the state that it ends in.
    counted
        Totals of its events; may be empty.
    """
    began, how = run.start_time, "Cancelled" if state.is_cancelling() else state.name
    seconds = None if began is None else round((datetime.now(UTC) - began).total_seconds(), 1)
    words = " ".join((state.message or "").split())[:LINE]
    error, said = ("", words) if state.is_completed() else (words, "")
    counts = {name: counted.get(name) for name in ("computed", "cached", "failed", "bytes")}
    done = "" if counts["computed"] is None else f", {counts['computed']} computed, {counts['cached']} cached"
    took = "" if seconds is None else f" after {seconds:.0f} s"
    return {
        "text": f"{run.name}: {how}{took}{done}" + (f": {words}" if words else ""),
        "flow": flow,
        "run": run.name,
        "run_id": str(run.id),
        "state": how,
        "seconds": seconds,
        **counts,
        "error": error,
        "message": said,
        "url": url_for("flow-run", obj_id=run.id),
    }


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the message is for the address that was given."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _send(address: str, body: bytes, place: int) -> None:
    wrong = ""
    for attempt in range(TRIES):
        time.sleep(PAUSE_SECONDS * attempt)
        try:
            return _post(address, body)
        except urllib.error.HTTPError as error:
            wrong = f"HTTP status {error.code}"
            if error.code < 500 and error.code != 429:
                break
        except OSError as error:
            wrong = getattr(error, "strerror", None) or type(error).__name__
        except Exception as error:  # its text may hold the address
            wrong = type(error).__name__
            break
    get_logger("notify").warning("notification %d was not taken: %s", place, wrong)


def _post(address: str, body: bytes) -> None:
    if not address.startswith(("https://", "http://")):
        raise ValueError
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_SECONDS):
        pass
