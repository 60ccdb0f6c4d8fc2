"""How far a grid of models is as a whole, told while its jobs run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows._step import BAD_KIND
from flows.observing import Event, Observer, listening, tell
from inception_loop.training.tally import WAITING, Tally

_JOB, _STACK = "model_job", "model_stack"


@contextmanager
def overseen(stage: str, total: int) -> Iterator[None]:
    """Tell how far the models of a grid are while the context is open.

    Parameters
    ----------
    stage
        Whose jobs.
    total
        Models of the grid.
    """
    with listening(Overseer(stage, Tally(total), tell)):
        yield


class Overseer:
    """Observer that counts what becomes of the jobs of a grid, and tells it after each."""

    def __init__(self, stage: str, tally: Tally, tell: Observer) -> None:
        self._stage, self._tally, self._tell = stage, tally, tell

    def __call__(self, event: Event) -> None:
        """Count an event; a job that ended changes the line, and so does one that waits."""
        if event.stage == self._stage and event.name.startswith((_JOB, _STACK)) and self._count(event):
            done, total = self._tally.done, self._tally.total
            text = self._tally.line()
            self._tell(Event(stage=self._stage, what="overall", name="", done=done, total=total, text=text))

    def _count(self, event: Event) -> bool:
        """Count it; whether it changes what there is to tell."""
        job, tally = event.name, self._tally
        match event.what:
            case "progress" if event.text == WAITING:
                tally.reserve(job)
            case "started":
                tally.begin(job)
                return False
            case "progress":
                tally.begin(job)
                return False
            case "passed" if job.startswith(_JOB):
                tally.reserve(job)
            case "failed" | "passed":  # the models of a stack are asked for again one by one
                tally.drop(job)
            case "finished" | "refused":
                trained = event.made.get("model", 0)
                there = {"found": trained} if event.cached else {"trained": trained}
                tally.end(job, **there, bad=event.made.get(BAD_KIND, 0))
        return True
