"""What a person at the terminal sees of a run: a live line a step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from flows import _interrupt
from flows.observing import Event

PLAIN_EVERY_SECONDS = 10.0
"""Without a terminal, progress of one step is told at most this often."""
BAR_FROM = 100
"""A terminal narrower than this has no room for bars: what a step says of itself and its name come first."""
_ENDS = {"finished", "failed", "passed", "refused"}


class _Name(ProgressColumn):
    """What a line is about, cut to the room that the other columns leave; its end tells steps apart."""

    def __init__(self, room: Callable[[], int]) -> None:
        super().__init__(Column(no_wrap=True))
        self._room = room

    def render(self, task: Task) -> Text:
        return Text(cut(task.description, self._room()), no_wrap=True)


class _Lines(Progress):
    """A line for each grid as a whole, then one for each step."""

    def __init__(self, *columns: ProgressColumn, console: RichConsole) -> None:
        self.overall: dict[str, str] = {}
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        for stage, text in list(self.overall.items()):
            yield Text(f"{stage}: {text}", no_wrap=True, overflow="ellipsis")
        yield from super().get_renderables()


def cut(name: str, width: int) -> str:
    """Shorten a name to a width: first the kind of step goes, then what is before the last words."""
    if len(name) > width:
        name = name.partition(" ")[2] or name
    if len(name) <= width:
        return name
    head = max(0, (width - 1) // 3)
    tail = max(0, width - 1 - head)
    return f"{name[:head]}…{name[len(name) - tail :]}"


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
        self._progress = _Lines(
            SpinnerColumn(),
            *([BarColumn(bar_width=10)] if self._rich.width >= BAR_FROM else []),
            TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
            _Name(self._room),
            console=self._rich,
        )

    def _room(self) -> int:
        """Columns that are left for the names: all lines have those of the longest text."""
        width = self._rich.width
        longest = max((len(task.fields["text"]) for task in self._progress.tasks), default=0)
        taken = 1 + (11 if width >= BAR_FROM else 0) + 1 + longest + 1
        return max(8, width - taken)

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
            self._bars[key] = self._progress.add_task(event.name, total=None, text="")
        elif event.what == "overall" and event.done < event.total:
            self._progress.overall[event.stage] = event.text
        elif event.what == "overall":
            self._progress.overall.pop(event.stage, None)
            self._progress.console.print(self._line(event, "✓", event.text))
        elif event.what == "progress" and key in self._bars:
            self._progress.update(
                self._bars[key], completed=event.done, total=event.total or None, text=_words(event)
            )
        elif event.what in _ENDS and key in self._bars:
            self._progress.remove_task(self._bars.pop(key))
            self._progress.console.print(self._ended(event))

    def _show_plain(self, event: Event) -> None:
        key = (event.stage, event.name)
        if event.what in _ENDS:
            self.say(self._ended(event))
        elif event.what in {"progress", "overall"}:
            now = time.monotonic()
            last = event.what == "overall" and event.done == event.total
            if last or now - self._told.get(key, -math.inf) >= PLAIN_EVERY_SECONDS:
                self._told[key] = now
                words = _words(event)
                self.say(self._line(event, "✓" if last else "…", f" {words}" if event.name else words))

    def _ended(self, event: Event) -> str:
        if event.what == "failed":
            return self._line(event, "✗", f": {' '.join(event.text.split())}" if event.text else "")
        if event.what == "refused":
            known = " (known)" if event.cached else ""
            return self._line(event, "✗", f" cannot be trained: {' '.join(event.text.split())}{known}")
        if event.what == "passed":
            return self._line(event, "»", f" ({event.text})")
        return self._line(event, "=" if event.cached else "✓", self._tail(event))

    @staticmethod
    def _tail(event: Event) -> str:
        if event.what == "finished" and event.text:
            return f" ({event.text}, {event.seconds:.1f} s)"
        return " (already there)" if event.cached else f" ({event.seconds:.1f} s)"


def _words(event: Event) -> str:
    """How far a step is, as words; a grid says it itself."""
    if event.what == "overall" or not event.total:
        return event.text
    return f"{event.done:g}/{event.total:g} {event.text}".rstrip()
