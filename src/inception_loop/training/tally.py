"""How far a grid is as a whole: counted from what becomes of its jobs, in one line for who waits."""

from __future__ import annotations

import math
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from inception_loop.training.pace import duration

WAITING = "another worker trains it"
"""What a job says that waits for another worker."""
GOES_ON = "goes on after epoch"
"""What a job says, once, that begins at a checkpoint."""
_PASSING = re.compile(r"\d+/\d+ ")
"""How what is told of every epoch begins."""


class Tally:
    """Counts the models of a grid; several threads may tell it of their jobs.

    Parameters
    ----------
    total
        Models of the grid.
    clock
        Seconds that only go forward.

    Examples
    --------
    >>> now = iter([0.0, 60.0, 60.0])
    >>> tally = Tally(4, lambda: next(now))
    >>> tally.begin("a")
    >>> tally.end("a", trained=1)
    >>> tally.reserve("b")
    >>> tally.line()
    '1 of 4 trained, 1 with other workers, about 3.0 min left'
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.trained = self.bad = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._elsewhere: dict[str, int] = {}
        self._seconds, self._timed, self._at_once = 0.0, 0, 1

    @property
    def done(self) -> int:
        """Models of which it is known what becomes of them."""
        return self.trained + self.bad

    def begin(self, job: str) -> None:
        """Note that a job of this process is at work; told again, nothing changes."""
        with self._lock:
            self._elsewhere.pop(job, None)
            self._since.setdefault(job, self._clock())
            self._at_once = max(self._at_once, len(self._since))

    def reserve(self, job: str, models: int = 1) -> None:
        """Note that other workers train these models of a job."""
        with self._lock:
            self._since.pop(job, None)
            self._elsewhere[job] = models

    def end(self, job: str, *, trained: int = 0, found: int = 0, bad: int = 0) -> None:
        """Note that a job is over: so many models were trained by it, found trained, cannot be trained."""
        with self._lock:
            self._elsewhere.pop(job, None)
            began = self._since.pop(job, None)
            self.trained, self.bad = self.trained + trained + found, self.bad + bad
            if began is not None and trained:
                self._seconds, self._timed = self._seconds + self._clock() - began, self._timed + trained

    def drop(self, job: str) -> None:
        """Forget a job: it ended with an error and may be tried again."""
        with self._lock:
            self._since.pop(job, None)

    def line(self) -> str:
        """Return how far the grid is; the time left is judged by the models that were trained here."""
        with self._lock:
            parts = [f"{self.trained} of {self.total} trained"]
            if self.bad:
                parts.append(f"{self.bad} cannot be trained")
            if elsewhere := sum(self._elsewhere.values()):
                parts.append(f"{elsewhere} with other workers")
            if self._timed and self.done < self.total:
                parts.append(f"about {duration(self._left())} left")
            return ", ".join(parts)

    def _left(self) -> float:
        each, now = self._seconds / self._timed, self._clock()
        begun = sum(min(each, now - since) for since in self._since.values())
        return max(0.0, each * (self.total - self.done) - begun) / self._at_once


def print_progress(
    *,
    every_s: float = 10.0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[int, int, str], None]:
    """Return an ``on_progress`` that writes lines for a person; the library by itself writes nothing.

    Parameters
    ----------
    every_s
        Of lines on the same model, one in so many seconds is written, s; whatever else is told, at once.
    stream
        By default standard error.
    clock
        Seconds that only go forward.

    Examples
    --------
    >>> import sys
    >>> tell = print_progress(stream=sys.stdout, clock=lambda: 0.0)
    >>> tell(0, 2, "GaussianLaplace seed 7: 1/100 epochs")
    0/2  GaussianLaplace seed 7: 1/100 epochs
    >>> tell(0, 2, "GaussianLaplace seed 7: 2/100 epochs")
    >>> tell(1, 2, "GaussianLaplace seed 7 trained")
    1/2  GaussianLaplace seed 7 trained
    """
    told: dict[str, float] = {}

    def tell(done: int, total: int, text: str = "") -> None:
        about, colon, rest = text.partition(": ")
        now = clock()
        if colon and _PASSING.match(rest):
            if now - told.get(about, -math.inf) < every_s:
                return
            told[about] = now
        (stream or sys.stderr).write(f"{done}/{total}  {text}\n")

    return tell
