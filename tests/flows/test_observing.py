"""What is said reaches whoever listens in the process, and the log of the run, which a worker has alone."""

from __future__ import annotations

import logging
import time
from typing import Any

from prefect import flow, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.runtime import flow_run

from flows.observing import Event, listening, say

SAID = {"night: nothing new": logging.INFO, "night: ✗ animal 3: too few units": logging.WARNING}


@flow(name="speaks")
def speaks() -> str:
    """Say two lines, and return whose log they stand in."""
    say("night", "nothing new")
    say("night", "  ✗ animal 3: too few units")
    return str(flow_run.id)


def log_of(run: str) -> dict[str, int]:
    """Return message → level of a run's log; it is sent every few seconds."""
    found: list[Any] = []
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline and not SAID.keys() <= {one.message for one in found}:
            found = client.read_logs(wanted)
            time.sleep(0.2)
    return {one.message: one.level for one in found if one.message.startswith("night:")}


def test_what_is_said_is_heard_and_stands_in_the_log_of_the_run() -> None:
    heard: list[Event] = []
    with listening(heard.append):
        run = speaks()
    assert [event.text for event in heard] == ["nothing new", "  ✗ animal 3: too few units"]
    assert log_of(run) == SAID


def test_outside_a_run_it_is_only_heard() -> None:
    heard: list[Event] = []
    with listening(heard.append):
        say("import", "a line")
    assert [event.stage for event in heard] == ["import"]
