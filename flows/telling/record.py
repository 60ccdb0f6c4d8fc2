"""What becomes of each attempt at a step: an event in the table of its run, and a line in the run's log."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect.logging import get_run_logger
from pydantic import BaseModel, ConfigDict

from flows import _interrupt
from flows.telling import events, publish
from inception_loop.artifacts.events import Outcome, StepEvent
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import InceptionLoopError

LINE = 500
"""Characters of an error that are kept."""
NAMED = 16
"""So many digests of a step stand in a log line; the table has them all."""


class Step(BaseModel):
    """What a step is called, and which run it belongs to; travels with it into other processes."""

    model_config = ConfigDict(frozen=True)

    stage: str
    make: str
    label: str = ""
    origin: events.Origin | None = None

    @property
    def name(self) -> str:
        """What a person reads."""
        return f"{self.make} {self.label}".rstrip()


class Record:
    """What becomes of one attempt at a step."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._task_run_id, self._started = publish.task_run_id(), datetime.now(UTC)
        self._clock = time.monotonic()

    def began(self) -> None:
        """Note that it began."""
        _say("started", self._named())
        self._note(self._event("running"))

    def ended(
        self,
        outcome: Outcome,
        refs: Sequence[ArtifactRef] = (),
        *,
        size: int | None = 0,
        error: str = "",
    ) -> None:
        """Note how it ended."""
        seconds = round(time.monotonic() - self._clock, 6)
        event = self._event(
            outcome,
            kinds=tuple(ref.kind for ref in refs),
            digests=tuple(ref.digest for ref in refs),
            seconds=seconds,
            bytes=size,
            error=error,
        )
        self._note(event)
        said = {"seconds": round(seconds, 3), "bytes": size}
        made = {"kind": _listed(dict.fromkeys(event.kinds)), "digest": _listed(d[:12] for d in event.digests)}
        _say(outcome, self._named() | (made if refs else {}) | said | ({"error": error} if error else {}))

    def _named(self) -> dict[str, object]:
        return {"stage": self._step.stage, "step": self._step.make, "label": self._step.label}

    def _event(self, outcome: Outcome, **found: Any) -> StepEvent:
        run = self._step.origin
        return StepEvent(
            run_id=run.run_id if run else "",
            flow=run.flow if run else "",
            stage=self._step.stage,
            step=self._step.make,
            label=self._step.label,
            task_run_id=self._task_run_id,
            outcome=outcome,
            started=self._started,
            host=socket.gethostname(),
            pid=os.getpid(),
            **found,
        )

    def _note(self, event: StepEvent) -> None:
        if self._step.origin is not None:
            events.note(self._step.origin, event)


def ended(stage: str, counts: Mapping[str, object]) -> None:
    """Tell the log of a stage's run, and of the run that it is a part of, what the stage has done."""
    values = {"stage": stage, **counts}
    _say("ended", values)
    whole = events.log_of_whole()
    if whole is not None:
        whole.info(log_line("ended", values), extra={"event": {"what": "ended", **values}})


@contextmanager
def recorded(step: Step) -> Iterator[Record]:
    """Note that a step begins, and how it ends if it ends with an error; what it made, it says itself."""
    record = Record(step)
    record.began()
    try:
        yield record
    except Exception as error:
        stopped = isinstance(error, _interrupt.StoppedError)
        record.ended("interrupted" if stopped else "failed", error="" if stopped else line_of(error))
        raise
    except BaseException:
        record.ended("interrupted")
        raise


def line_of(error: BaseException) -> str:
    r"""Return an error as one line, not too long.

    Examples
    --------
    >>> line_of(ValueError("a\nb"))
    'ValueError: a b'
    """
    said = " ".join(str(error).split())
    whole = said if isinstance(error, InceptionLoopError) else f"{type(error).__name__}: {said}"
    return whole[:LINE]


def log_line(what: str, values: Mapping[str, object]) -> str:
    """Return a line of a log that people read and programs split.

    Examples
    --------
    >>> log_line("computed", {"stage": "train", "label": "CNN 1", "bytes": 12, "error": None, "step": ""})
    'computed stage=train label="CNN 1" bytes=12'
    """
    known = {key: str(value) for key, value in values.items() if value is not None and value != ""}
    quoted = {
        key: json.dumps(value, ensure_ascii=False) if set(value) & set(' "=') else value
        for key, value in known.items()
    }
    return " ".join([what, *(f"{key}={value}" for key, value in quoted.items())])


def _say(what: str, values: dict[str, object]) -> None:
    """Tell the log of the run; a log of JSON has the values in its field ``event``."""
    if publish.in_run():
        get_run_logger().info(log_line(what, values), extra={"event": {"what": what, **values}})


def _listed(values: Iterable[str]) -> str:
    several = list(values)
    more = f",+{len(several) - NAMED}" if several[NAMED:] else ""
    return ",".join(several[:NAMED]) + more
