"""MinIO stopped and started again during a loop on S3: the loop waits or says so in a line, and goes on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from flows.observing import Event, listening

pytestmark = pytest.mark.timeout(3600)
RESTARTS = {"short": 1, "long": 5}
STEPS_OF_A_RUN = 100
DOWN_S = (0.5, 8.0)
TRIES = 4
"""How often a step is tried that the store does not answer."""


class Outages:
    """Observer of a run that stops and starts the server after so many finished steps."""

    def __init__(self, minio: Any, rng: random.Random, after: list[int], note: Callable[[int], None]) -> None:
        self._minio, self._rng, self._after, self._note = minio, rng, after, note
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.finished = 0
        self.lasted: list[float] = []

    def __call__(self, event: Event) -> None:
        """Count a step that ended."""
        if event.what != "finished" or event.cached:
            return
        with self._lock:
            self.finished += 1
            if self._after and self.finished >= self._after[0]:
                self._after.pop(0)
                self._threads.append(
                    threading.Thread(target=self._outage, args=(self._rng.uniform(*DOWN_S),))
                )
                self._threads[-1].start()

    def _outage(self, seconds: float) -> None:
        self._note(TRIES)
        began = time.monotonic()
        self._minio.stop()
        time.sleep(seconds)
        self._minio.start()
        self._note(TRIES)  # what was claimed between the first look and the stop
        self.lasted.append(round(time.monotonic() - began, 1))

    def over(self) -> None:
        """Wait until the server runs."""
        for thread in self._threads:
            thread.join()


def test_a_loop_outlives_restarts_of_its_object_store(
    request,
    minio: Any,
    s3_uri: str,
    tiny: ModuleType,
    tiny_run: tuple[str, Any],
    run_loop: Callable[[str], str],
    books: ModuleType,
    told: Callable[[str], None],
) -> None:
    restarts = RESTARTS[request.config.getoption("--campaign")]
    rng = random.Random(restarts)
    after = sorted(rng.sample(range(1, STEPS_OF_A_RUN), restarts))
    expected, began, failed = tiny.contents(tiny_run[0]), time.monotonic(), []
    book = books.Books(s3_uri)
    outages = Outages(minio, rng, list(after), book.note)
    with listening(outages):
        while error := run_loop(s3_uri):
            outages.over()
            assert "the store does not answer; check that it runs, then run again" in error
            book.disturbed()
            failed.append(outages.finished)
    outages.over()
    again = book.closed()
    told(
        f"stopped after {after} of {outages.finished} steps for {outages.lasted} s; runs that failed: "
        f"{failed}; begun again: {sum(again.values())}; {time.monotonic() - began:.0f} s"
    )
    assert len(outages.lasted) == restarts
    assert tiny.contents(s3_uri) == expected
