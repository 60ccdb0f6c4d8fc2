"""Several things in one run, animals or loops: one that fails stops no other, and is told once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from flows import _interrupt
from flows._arriving import in_one_line
from flows.observing import say
from flows.telling.runs import PASSED_OVER, by_itself, completed
from inception_loop.artifacts.provenance import versions
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError, RecordingError, StoreError, TrainingError
from inception_loop.recordings.arrivals.told import Told, forget, remember, told

R = TypeVar("R")
TO_BLAME = (DataError, RecordingError, TrainingError)
"""What the data are to blame for: from the same data it would come again."""
DAY_S = 86_400.0


class OneByOne:
    """Does one thing after the other in a run.

    A run that a schedule or an automation started goes on from what earlier runs were told: what failed by
    its own data is passed over until these, the parameters or the project change; everything else is tried
    again, and fails the run where it fails otherwise than before, or once a day. A run that a person started
    tries everything, and fails over everything.

    Parameters
    ----------
    flow
        Name of the flow.
    store
        Remembers what was told.
    """

    def __init__(self, flow: str, store: ArtifactStore) -> None:
        self._flow, self._store, self.asked = flow, store, not by_itself()
        self.failed: dict[str, str] = {}
        self.news: dict[str, Exception] = {}
        self.over: list[str] = []

    def __call__(self, what: str, action: Callable[[], object], made_of: object = None) -> None:
        """Do one thing.

        Parameters
        ----------
        what
            What a person calls it.
        action
            Does it.
        made_of
            What it depends on beside the project, as plain JSON; None: on what cannot be known.
        """
        key, cause = f"{self._flow}: {what}", "" if made_of is None else _digest(made_of)
        before = self._told(key)
        if before is not None and before.cause and before.cause == cause and not self.asked:
            self.failed[what] = f"passed over, since nothing has changed: {before.error}"
            say(self._flow, f"– {what}: {self.failed[what]}")
            return
        try:
            action()
        except _interrupt.StoppedError:
            raise
        except Exception as error:
            self._fails(what, error, key, cause, before)
            return
        if before is not None:
            self.over.append(what)
            forget(self._store.backend, key)

    def part(self, what: str, action: Callable[[], str]) -> None:
        """Do what remembers by itself what was told, a run within this one; returns what it passes over."""
        try:
            over = action()
        except _interrupt.StoppedError:
            raise
        except Exception as error:
            self.failed[what], self.news[what] = in_one_line(error), error
            say(self._flow, f"✗ {what}: {self.failed[what]}")
            return
        if over:
            self.failed[what] = over

    @property
    def quiet(self) -> bool:
        """Whether nothing went otherwise than before."""
        return not self.news and not self.over

    @property
    def passed_over(self) -> dict[str, str]:
        """What is wrong as before, and why."""
        return {what: why for what, why in self.failed.items() if what not in self.news}

    def end(self, result: R, said: Sequence[str] = (), name: str | None = None) -> R:
        """Fail the run over what has failed, or return its result in a state that says what is passed over.

        Parameters
        ----------
        result
            What the run returns.
        said
            What there is to say beside that.
        name
            What the state is called if there is news; by default Completed.

        Raises
        ------
        DataError
            If something has that nobody was told of.
        """
        if self.news:
            faults = [f"{what}: {in_one_line(error)}" for what, error in self.news.items()]
            line = "; ".join([*faults, *said])
            raise DataError(f"{line}; everything else is done; mend it and run {self._flow} again")
        lines = [*said, *(f"{what}: {why}" for what, why in self.passed_over.items())]
        calls = name or (PASSED_OVER if self.passed_over else None)
        return completed(result, "; ".join(lines), calls) if lines else result

    def _told(self, key: str) -> Told | None:
        with suppress(StoreError):
            return told(self._store.backend, key)
        return None

    def _fails(self, what: str, error: Exception, key: str, cause: str, before: Told | None) -> None:
        line = self.failed[what] = in_one_line(error)
        say(self._flow, f"✗ {what}: {line}")
        cause = cause if isinstance(error, TO_BLAME) else ""
        with suppress(StoreError):  # then it is told again
            now = self._store.backend.now()
            if before is not None and _as_before(before, line, cause, now) and not self.asked:
                return
            remember(self._store.backend, key, line, cause, now)
        self.news[what] = error


def _as_before(before: Told, error: str, cause: str, now: float) -> bool:
    return (before.error, before.cause) == (error, cause) and now - before.time < DAY_S


def _digest(made_of: object) -> str:
    known = versions()
    text = json.dumps([known.get("inception-loop"), known.get("git"), made_of], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
