"""Going on with a training that was cut short: what a keeper of checkpoints is, and where to begin again."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from inception_loop.errors import ConfigurationError
from inception_loop.training.learner import Learner, State

log = logging.getLogger(__name__)


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


def resume(members: Sequence[Kept]) -> None:
    """Let every learner go on from its newest sound checkpoint, if it has one.

    Networks that learn together go on from the same epoch: who had come further, when all were cut short,
    takes the checkpoint before. One that had finished stays finished.
    """
    limit = min((newest(member) for member in members), default=math.inf)
    for member in members:
        within = [epoch for epoch in _epochs(member) if epoch <= limit]
        later = [epoch for epoch in _epochs(member) if epoch > limit]
        next(_restored(member, [*within, *later]), None)


def newest(member: Kept) -> float:
    """Epoch that a learner can go on from; infinite if it has none to go on from, or has finished."""
    last = next(_restored(member, _epochs(member)), math.inf)
    return math.inf if member.learner.finished else last


def keep(members: Sequence[Kept]) -> None:
    """Save the states of learners that learn together; earlier ones are dropped once all are saved."""
    saved = [(one.checkpoints, one.learner) for one in members if one.checkpoints is not None]
    for checkpoints, learner in saved:
        checkpoints.save(learner.epoch, learner.state())
    for checkpoints, learner in saved:
        checkpoints.drop(before=learner.epoch)


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
