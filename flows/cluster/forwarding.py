"""What steps tell in a worker's process reaches whoever watches the run; what nobody awaits any more ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from distributed import Client, Worker, get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from prefect.context import TaskRunContext

from flows import _interrupt
from flows.observing import Event, listening, say, tell
from inception_loop.training.tally import WAITING

TOPIC = "inception-loop"
"""One for all runs: a scheduler keeps so many messages of each topic."""
EVERY_S = 0.2
_COMPUTING = {"executing", "long-running"}
_ENDED = {"finished", "passed", "refused"}


class ToRun(WorkerPlugin):
    """Makes a worker send what its steps tell to the run that submitted them.

    A step whose run has ended, in whatever way, ends at its next sign of progress: the scheduler then wants
    its key no more.
    """

    name = TOPIC
    idempotent = True

    def setup(self, worker: Worker) -> None:
        """Begin with a worker that was just started, or already runs."""
        self._unwanted: set[Any] = set()
        self._told: dict[str, float] = {}
        self._listening = ExitStack()
        logging.getLogger("prefect.task_runs").propagate = False  # to its API alone, as the run's own
        self._listening.enter_context(listening(self._send))

    def teardown(self, worker: Worker) -> None:
        """End with the worker."""
        self._listening.close()

    def transition(self, key: Any, start: str, finish: str, **more: Any) -> None:
        """Note which steps are computed in vain."""
        in_vain = start in _COMPUTING and finish == "released"
        (self._unwanted.add if in_vain else self._unwanted.discard)(key)

    def _send(self, event: Event) -> None:
        run = TaskRunContext.get()
        if run is None:
            return
        worker = get_worker()
        if worker.get_current_task() in self._unwanted:
            raise _interrupt.StoppedError
        step = str(run.task_run.id)
        if event.what == "progress" and event.text != WAITING:
            now = time.monotonic()
            if now - self._told.get(step, -EVERY_S) < EVERY_S:
                return
            self._told[step] = now
        elif event.what in _ENDED:
            self._told.pop(step, None)
        message = {"run": str(run.task_run.flow_run_id), "step": step, "event": event.model_dump()}
        worker.log_event(TOPIC, message)


class _FromWorkers:
    """Tells what the steps of one run tell, and which workers it lost."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._ended: set[str] = set()

    def step(self, event: tuple[float, dict[str, Any]]) -> None:
        """Tell what a step tells; one that had ended and is asked for again tells nothing new."""
        message = event[1]
        if message["run"] != self._run or message["step"] in self._ended:
            return
        told = Event(**message["event"])
        if told.what in _ENDED:
            self._ended.add(message["step"])
        tell(told)

    @staticmethod
    def worker(event: tuple[float, dict[str, Any]]) -> None:
        """Tell that a worker was lost."""
        message = event[1]
        if message.get("action") == "remove-worker" and not message["expected"]:
            say("cluster", f"  worker {message['worker']} was lost; what it computed starts again")


@contextmanager
def received(client: Client, run: str) -> Iterator[None]:
    """Tell what the steps of a run tell in other processes while the context is open."""
    heard = _FromWorkers(run)
    client.subscribe_topic(TOPIC, heard.step)
    client.subscribe_topic("all", heard.worker)
    try:
        yield
    finally:
        for topic in (TOPIC, "all"):
            client.unsubscribe_topic(topic)
