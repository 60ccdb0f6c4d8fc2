"""What a person who watches a run is told: events of its steps, heard by whoever listens in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from pydantic import BaseModel, Field

What = Literal["started", "progress", "finished", "failed", "passed", "refused", "said", "overall"]


class Event(BaseModel):
    """Something a person watching the run wants to see."""

    stage: str
    what: What
    name: str
    done: float = 0.0
    total: float = 0.0
    text: str = ""
    cached: bool = False
    seconds: float = 0.0
    made: dict[str, int] = Field(default_factory=dict, description="What a step ended with, by kind.")


SERIOUS = ("✗", "⚠", "!")
"""What lines of warnings begin with."""

Observer = Callable[[Event], None]
_observers: list[Observer] = []


@contextmanager
def listening(observer: Observer) -> Iterator[None]:
    """Send every event of stages run in this process to ``observer`` while the context is open."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Do as `listening` does.

    Meanwhile Prefect's logs of runs (tracebacks among them) go to its API alone, not to the terminal too.
    """
    loggers = [logging.getLogger(f"prefect.{name}") for name in ("engine", "flow_runs", "task_runs")]
    before = [logger.propagate for logger in loggers]
    try:
        for logger in loggers:
            logger.propagate = False
        with listening(observer):
            yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.propagate = propagate


def tell(event: Event) -> None:
    """Send an event to whoever watches."""
    for observer in list(_observers):
        observer(event)


def say(stage: str, text: str) -> None:
    """Tell whoever watches the run a line that is no step's; it stands in the run's log as well."""
    tell(Event(stage=stage, what="said", name="", text=text))
    with suppress(MissingContextError):  # a thread beside the run, or no run at all
        level = logging.WARNING if text.lstrip().startswith(SERIOUS) else logging.INFO
        get_run_logger().log(level, "%s: %s", stage, text.strip())
