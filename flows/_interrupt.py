"""Ctrl-C ends a run: steps stop at their next sign of progress, and what does not stop soon is left behind.

Nothing is lost by that: an artifact stands whole or not at all, and the lease of a process that is gone is
taken over at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 5.0
STATUS = 130
MESSAGE = "interrupted; the same command again goes on from here\n"
_SHOW_CURSOR = "\x1b[?25h"
_stopping = threading.Event()
_announced = threading.Lock()
on_leaving: list[Callable[[], None]] = []
"""What is done when the process has to leave at once: end what it started."""


class StoppedError(Exception):
    """A step ends because the person wants the run to end."""


def check() -> None:
    """End the step that calls this if the run was interrupted.

    Raises
    ------
    StoppedError
        If so.
    """
    if _stopping.is_set():
        raise StoppedError


def stopping() -> bool:
    """Whether the run was interrupted."""
    return _stopping.is_set()


@contextmanager
def handled() -> Iterator[None]:
    """Handle Ctrl-C as this module says while the context is open."""

    def stop(number: int, frame: FrameType | None) -> None:
        if not _stopping.is_set():
            _stopping.set()
            timer = threading.Timer(GRACE_SECONDS, _leave)
            timer.daemon = True
            timer.start()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def announce() -> None:
    """Say once, as the last line, that the run was interrupted; `main` and the timer both try."""
    if not _announced.acquire(blocking=False):
        return
    sys.stderr.write((_SHOW_CURSOR if sys.stderr.isatty() else "") + MESSAGE)
    sys.stderr.flush()


def _leave() -> None:
    """Leave without waiting for threads that are in the middle of a long step."""
    announce()
    for end in on_leaving:
        end()
    os._exit(STATUS)
