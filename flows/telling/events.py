"""Keeps the table of events of a run while it goes on.

The process of the run holds the events and writes them every few seconds; a step elsewhere (a cluster's
process) leaves its events in the store beside the table, where the run's process finds them. Nothing here
makes a run fail: a store that takes no events is said once.
"""

from __future__ import annotations

import atexit
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from prefect.context import FlowRunContext
from prefect.logging.loggers import LoggingAdapter, get_logger
from pydantic import BaseModel, ConfigDict

from flows import _interrupt
from inception_loop.artifacts import events
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.events import StepEvent
from inception_loop.artifacts.places import backend_of
from inception_loop.errors import InceptionLoopError
from inception_loop.settings import Settings

Log = LoggingAdapter
FLUSH_SECONDS = 5.0
"""A killed run loses what happened in so many seconds, or more once its table takes long to write:"""
SHARE = 0.02
"""writing takes at most this share of the time."""
LEAVING_SECONDS = 2.0


class Origin(BaseModel):
    """The run that a step belongs to: the one that a person or schedule started, whatever it calls."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    flow: str
    folder: str


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)
_recorders: dict[str, _Recorder] = {}


def origin() -> Origin | None:
    """Return the run that the caller belongs to; None where nobody keeps its events."""
    return _origin.get()


def begin(run_id: str, flow: str, log: Log | None = None) -> None:
    """Keep the events of a run from now on, unless it is a part of one whose events are kept."""
    if _origin.get() is None:
        found = Origin(run_id=run_id, flow=flow, folder=events.folder_of(run_id, datetime.now(UTC)))
        _recorders[run_id] = _Recorder(found, backend_of(Settings().store), log)
        _origin.set(found)


def log_of_whole() -> Log | None:
    """Return the log of the run that the caller's is a part of; None if it is the whole."""
    run, here = _origin.get(), FlowRunContext.get()
    if run is None or here is None or here.flow_run is None or str(here.flow_run.id) == run.run_id:
        return None
    recorder = _recorders.get(run.run_id)
    return None if recorder is None else recorder.log


def note(run: Origin, event: StepEvent) -> None:
    """Keep an event of a run, wherever its step runs."""
    recorder = _recorders.get(run.run_id)
    if recorder is not None:
        recorder.note(event)
        return
    try:
        events.leave_part(backend_of(Settings().store), run.folder, uuid4().hex, event)
    except InceptionLoopError as error:
        get_logger("events").warning("an event of run %s is not kept: %s", run.run_id, error)


def end(run_id: str) -> dict[str, Any]:
    """Write the last events of a run and return its totals; empty where none are kept here."""
    recorder = _recorders.get(run_id)
    if recorder is None:
        return {}
    _origin.set(None)
    if recorder.close():
        _recorders.pop(run_id, None)
    found = recorder.events()
    return events.totals(events.frame(found)) if found else {}


def totals(run_id: str) -> dict[str, Any]:
    """Return the totals of a run of another process, as far as it has written them."""
    try:
        return events.totals(events.of_run(backend_of(Settings().store), run_id))
    except InceptionLoopError:
        return {}


class _Recorder:
    """Holds the events of one run and writes them from a thread of its own."""

    def __init__(self, run: Origin, backend: Backend, log: Log | None) -> None:
        self._run, self._backend, self.log = run, backend, log
        self._own: dict[tuple[object, ...], StepEvent] = {}
        self._parts: dict[str, StepEvent] = {}
        self._former: list[StepEvent] | None = None
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._written: list[StepEvent] = []
        self._closed, self._complained = False, False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="events", daemon=True)
        self._thread.start()
        atexit.register(self.close)
        _interrupt.on_leaving.append(self._write_in_haste)

    def note(self, event: StepEvent) -> None:
        """Take an event of this process."""
        with self._lock:
            first = not self._own
            self._own[event.attempt] = event
            closed = self._closed
        if closed:  # a step that outlived its run
            self._try_to_write()
            if not self._running():
                _recorders.pop(self._run.run_id, None)
        elif first:
            self._wake.set()

    def events(self) -> list[StepEvent]:
        """Return one event a step, of all processes as far as they are known here."""
        with self._lock:
            own = list(self._own.values())
        return events.merged([*(self._former or ()), *self._parts.values(), *own])

    def close(self) -> bool:
        """Write for the last time; whether no step of this process is left that may still tell something."""
        with self._lock:
            again, self._closed = self._closed, True
        if not again:
            atexit.unregister(self.close)
            _interrupt.on_leaving.remove(self._write_in_haste)
            self._wake.set()
            self._thread.join(LEAVING_SECONDS)
            self._try_to_write(last=True)
        return not self._running()

    def _running(self) -> bool:
        with self._lock:
            return any(event.outcome == "running" for event in self._own.values())

    def _keep_writing(self) -> None:
        while not self._closed:
            began = time.monotonic()
            self._try_to_write()
            took = time.monotonic() - began
            self._wake.wait(max(FLUSH_SECONDS, took / SHARE))
            self._wake.clear()

    def _write_in_haste(self) -> None:
        """Write if that can be done at once: the process is about to leave."""
        writer = threading.Thread(target=self._try_to_write, daemon=True)
        writer.start()
        writer.join(LEAVING_SECONDS)

    def _try_to_write(self, *, last: bool = False) -> None:
        try:
            self._write(last=last)
        except Exception as error:  # whatever it is: no run fails for its events
            if not self._complained:
                self._complained = True
                get_logger("events").warning("the events of this run are not kept: %s", error)

    def _write(self, *, last: bool) -> None:
        with self._writing:
            folder = self._run.folder
            if self._former is None:  # the same run may have begun in another process
                self._former = events.table(self._backend, folder)
            self._parts |= events.parts(self._backend, folder, self._parts)
            found = self.events()
            if found and found != self._written:
                events.write(self._backend, folder, found)
                self._written = found
            if last and self._parts:
                self._backend.remove(self._parts)
