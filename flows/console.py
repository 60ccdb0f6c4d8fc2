"""What a person at the terminal sees of a run: a live line a step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from flows import _interrupt
from flows._stage import Event

PLAIN_EVERY_SECONDS = 10.0
"""Without a terminal, progress of one step is told at most this often."""


class Console:
    """Observer of a run's events; use as a context."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._rich = RichConsole(stderr=True, highlight=False)
        self._live = self._rich.is_terminal and not quiet
        self._quiet = quiet
        self._lock = threading.Lock()
        self._bars: dict[tuple[str, str], TaskID] = {}
        self._told: dict[tuple[str, str], float] = {}
        self._started = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            Remaining(),
            TextColumn("{task.fields[text]}"),
            console=self._rich,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def say(self, text: str) -> None:
        """Print one line for a person (on standard error: standard output holds results only)."""
        if self._quiet:
            return
        if self._live:
            self._progress.console.print(text)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            if _interrupt.stopping():  # the last line of a run is the last
                return
            if event.what == "said":
                self.say(self._line(event, event.text, "").rstrip())
            else:
                (self._show_live if self._live else self._show_plain)(event)

    def _line(self, event: Event, mark: str, tail: str) -> str:
        clock = time.monotonic() - self._started
        return f"{clock:6.1f} s  {event.stage:<12} {mark} {event.name}{tail}"

    def _show_live(self, event: Event) -> None:
        key = (event.stage, event.name)
        if event.what == "started":
            self._bars[key] = self._progress.add_task(f"{event.stage}: {event.name}", total=None, text="")
        elif event.what == "progress" and key in self._bars:
            self._progress.update(
                self._bars[key], completed=event.done, total=event.total or None, text=event.text
            )
        elif event.what in {"finished", "failed", "passed"} and key in self._bars:
            self._progress.remove_task(self._bars.pop(key))
            self._progress.console.print(self._ended(event))

    def _show_plain(self, event: Event) -> None:
        key = (event.stage, event.name)
        if event.what in {"finished", "failed", "passed"}:
            self.say(self._ended(event))
        elif event.what == "progress":
            now = time.monotonic()
            if now - self._told.get(key, 0.0) >= PLAIN_EVERY_SECONDS:
                self._told[key] = now
                self.say(self._line(event, "…", f" {event.done:g}/{event.total:g} {event.text}"))

    def _ended(self, event: Event) -> str:
        if event.what == "failed":
            return self._line(event, "✗", f": {' '.join(event.text.split())}" if event.text else "")
        if event.what == "passed":
            return self._line(event, "»", f" ({event.text})")
        return self._line(event, "=" if event.cached else "✓", self._tail(event))

    @staticmethod
    def _tail(event: Event) -> str:
        return " (already there)" if event.cached else f" ({event.seconds:.1f} s)"
