"""Going on with a training that was cut short: what a keeper of checkpoints is, and where to begin again."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self

from inception_loop.errors import ConfigurationError
from inception_loop.training.learner import Learner, State

log = logging.getLogger(__name__)
WRITTEN_MEANWHILE = ("cuda",)
"""Types of devices on which training goes on while a thread writes."""


class Checkpoints(Protocol):
    """Keeps the states of one training; only one process writes them at a time."""

    def epochs(self) -> Sequence[int]:
        """Epochs of which a state is kept, the newest first."""
        ...

    def load(self, epoch: int) -> State | None:
        """Return the state after an epoch; None, and a line in the log, if it is not sound."""
        ...

    def save(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch, whole or not at all."""
        ...

    def drop(self, before: int) -> None:
        """Forget the states after earlier epochs."""
        ...


class Kept(Protocol):
    """A learner and who keeps its checkpoints, if anybody."""

    @property
    def learner(self) -> Learner:
        """The learner."""
        ...

    @property
    def checkpoints(self) -> Checkpoints | None:
        """Its checkpoints."""
        ...


def resume(members: Sequence[Kept]) -> int:
    """Let every learner go on from its newest sound checkpoint, if it has one.

    Networks that learn together go on from the same epoch: who had come further, when all were cut short,
    takes the checkpoint before. One that had finished stays finished.

    Returns
    -------
    int
        The last epoch that a learner goes on after; 0 if all begin.
    """
    last = 0
    limit = min((newest(member) for member in members), default=math.inf)
    for member in members:
        within = [epoch for epoch in _epochs(member) if epoch <= limit]
        later = [epoch for epoch in _epochs(member) if epoch > limit]
        last = max(last, next(_restored(member, [*within, *later]), 0))
    return last


def newest(member: Kept) -> float:
    """Epoch that a learner can go on from; infinite if it has none to go on from, or has finished."""
    last = next(_restored(member, _epochs(member)), math.inf)
    return math.inf if member.learner.finished else last


class Keeper:
    """Saves the states of learners that learn together; earlier ones are dropped once all are saved.

    On a CPU every epoch is saved before the next begins. Epochs on a GPU are short and the states of a stack
    are many: there they are copied and a thread writes them while training goes on. An epoch that ends while
    one before is still being written is passed over, unless a learner finished with it.

    Use it as a context manager: at its end nothing is being written any more, and an error in writing is
    raised then if not before.
    """

    def __init__(self) -> None:
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._wait()
        finally:
            if self._writer is not None:
                self._writer.shutdown()

    def keep(self, members: Sequence[Kept]) -> None:
        """Save states, or let them be saved."""
        saved = [(one.checkpoints, one.learner) for one in members if one.checkpoints is not None]
        if not saved:
            return
        if saved[0][1].network.device.type not in WRITTEN_MEANWHILE:
            _write([(checkpoints, one.epoch, one.state()) for checkpoints, one in saved])
            return
        busy = self._writing is not None and not self._writing.done()
        if busy and not any(learner.finished for _, learner in saved):
            return
        self._wait()
        states = [(checkpoints, one.epoch, one.state(copy=True)) for checkpoints, one in saved]
        self._writer = self._writer or ThreadPoolExecutor(1, "checkpoints")
        self._writing = self._writer.submit(_write, states)

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _write(states: Sequence[tuple[Checkpoints, int, State]]) -> None:
    for checkpoints, epoch, state in states:
        checkpoints.save(epoch, state)
    for checkpoints, epoch, _ in states:
        checkpoints.drop(before=epoch)


def _epochs(member: Kept) -> Sequence[int]:
    return [] if member.checkpoints is None else member.checkpoints.epochs()


def _restored(member: Kept, epochs: Sequence[int]) -> Iterator[int]:
    """Restore the learner from the first of some epochs that is sound; yield which it was."""
    for epoch in epochs:
        state = member.checkpoints.load(epoch) if member.checkpoints is not None else None
        if state is None:
            continue
        try:
            member.learner.restore(state)
        except ConfigurationError as error:
            log.warning("%s; it is left aside", error)
            continue
        yield epoch
