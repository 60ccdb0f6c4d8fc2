"""Model.populate: what is missing is trained, each model by one worker; what cannot work is tried once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from inception_loop.artifacts.attempt import Progress
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import ConfigurationError
from inception_loop.training.bad_config import BAD_CONFIG, BadConfig, load_bad_config, nothing_trained
from inception_loop.training.config import ModelConfig
from inception_loop.training.jobs import make_model_job, make_model_jobs
from inception_loop.training.labels import labels_of
from inception_loop.training.model import MODEL, model_inputs
from inception_loop.training.restriction import Restriction, restrict
from inception_loop.training.tally import GOES_ON, WAITING, Tally, print_progress
from inception_loop.training.together import plan_for

__all__ = ["Populated", "populate", "print_progress"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Populated:
    """What a populate found and did.

    Attributes
    ----------
    models : the trained models, in the order of the candidates
    bad : the configurations that cannot work, and why
    computed : jobs done by this call, records of bad configurations among them
    cached : jobs that were done already, or by others meanwhile
    passed_over : jobs that others had reserved when they were first asked for
    """

    models: dict[ModelConfig, ArtifactRef]
    bad: dict[ModelConfig, BadConfig]
    computed: int
    cached: int
    passed_over: int


def populate(
    store: ArtifactStore,
    candidates: Sequence[ModelConfig],
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    restriction: Restriction | None = None,
    reserve_jobs: bool = True,
    on_progress: Progress | None = None,
) -> Populated:
    """Train the models that are missing. Any number of workers may do so at once, on any number of machines.

    Parameters
    ----------
    store
        Where models are looked up, reserved and kept.
    candidates
        Configurations; a grid's ``models(group_id)``.
    dataset
        The ``static_multi_dataset`` of their group.
    core
        A ``model`` whose core all of them take over; see `make_model`.
    restriction
        Plain expression: which candidates are meant; see `restrict`.
    reserve_jobs
        Pass over what others train just now, and come back to it at the end: it is found trained then, or
        taken over from a worker that died. Otherwise everything is asked for in order and waited for; nothing
        is trained twice either way.
    on_progress
        Receives ``(models done, of all, what goes on)``; by default nothing is told, with
        ``print_progress()`` it is written to standard error.

    Raises
    ------
    ConfigurationError
        If no candidate is meant, or not one of them can be trained; the message has the first reason.
    InceptionLoopError
        What a training raises for which its configuration is not to blame.
    """
    jobs = list(dict.fromkeys(restrict(candidates, restriction)))
    if not jobs:
        raise ConfigurationError(
            f"the restriction {restriction!r} leaves none of {len(candidates)} candidates; expected at least "
            "one model; loosen it"
        )
    work = _Work(store, model_inputs(dataset, core), jobs, on_progress)
    passed_over = work.share() if reserve_jobs else work.in_order()
    return work.result(passed_over)


class _Work:
    """The jobs of one call, and what came of them."""

    def __init__(
        self,
        store: ArtifactStore,
        inputs: dict[str, ArtifactRef],
        jobs: list[ModelConfig],
        on_progress: Progress | None,
    ) -> None:
        self._store, self._inputs, self._jobs = store, inputs, jobs
        self._on_progress = on_progress
        self._labels = labels_of(jobs)
        self._tally = Tally(len(jobs))
        self._done: dict[ModelConfig, Outcome] = {}
        self._passed_over: set[ModelConfig] = set()

    def in_order(self) -> int:
        """Do one job, or one stack of them, after the other, whoever holds it."""
        self._ask_all(wait=True)
        return 0

    def share(self) -> int:
        """Do what nobody else does; then the rest, as it becomes free. Returns how many were passed over."""
        self._ask_all(wait=False)
        left = [job for job in self._jobs if job not in self._done]
        passed_over = len(left)
        while left:
            still = [job for job in left if not self._ask(job, wait=False)]
            if still == left:  # all are being worked on: what is silent has to be waited for to be judged
                self._ask(still.pop(0), wait=True)
            left = still
        return passed_over

    def _ask_all(self, *, wait: bool) -> None:
        planned = plan_for(self._store, self._jobs, self._inputs["dataset"])
        self._tell(planned.reason)
        for stack in planned.stacks:
            if len(stack) == 1:
                self._ask(stack[0], wait=wait)
                continue
            label = f"{len(stack)} models"
            tell = self._within(label)
            self._tally.begin(label)
            jobs = make_model_jobs(self._store, stack, **self._inputs, wait=wait, on_progress=tell)
            kinds = [one.ref.kind for made in jobs.values() for one in made if not one.cached]
            self._tally.end(label, trained=kinds.count(MODEL.name))
            for job, made in jobs.items():
                self._note(job, made, counted=True)

    def _ask(self, job: ModelConfig, *, wait: bool) -> bool:
        if job not in self._passed_over:
            self._tally.begin(self._labels[job])
        made = make_model_job(
            self._store, job, **self._inputs, wait=wait, on_progress=self._within(self._labels[job])
        )
        self._note(job, made)
        return bool(made)

    def _note(self, job: ModelConfig, made: tuple[Outcome, ...], *, counted: bool = False) -> None:
        label = self._labels[job]
        if not made:
            self._tally.reserve(label)
            if job not in self._passed_over:
                self._passed_over.add(job)
                self._tell(f"{label}: {WAITING}")
        for outcome in made:
            self._done[job] = outcome
            if outcome.ref.kind == BAD_CONFIG.name:
                self._tally.end(label, bad=1)
            elif outcome.cached:
                self._tally.end(label, found=1)
            else:
                self._tally.end(label, trained=0 if counted else 1)
            self._tell(f"{label} {self._word(outcome)}")
            self._tell(self._tally.line())

    def _word(self, outcome: Outcome) -> str:
        if outcome.ref.kind == BAD_CONFIG.name:
            known = " (known)" if outcome.cached else ""
            return f"cannot be trained: {load_bad_config(self._store, outcome.ref).reason}{known}"
        return "found" if outcome.cached else "trained"

    def _within(self, label: str) -> Progress | None:
        if self._on_progress is None:
            return None

        def tell(done: int, total: int, text: str = "") -> None:
            if total:
                self._tally.begin(label)
            elif text == WAITING:
                self._tally.reserve(label)
            at = f"{done}/{total} " if total and not text.startswith(GOES_ON) else ""
            self._tell(f"{label}: {at}{text}")

        return tell

    def _tell(self, text: str) -> None:
        if self._on_progress is not None:
            self._on_progress(len(self._done), len(self._jobs), text)

    def result(self, passed_over: int) -> Populated:
        """Return what came of the jobs, in their order."""
        outcomes = [(job, self._done[job]) for job in self._jobs]
        bad = {
            job: load_bad_config(self._store, made.ref)
            for job, made in outcomes
            if made.ref.kind == BAD_CONFIG.name
        }
        for job, found in bad.items():
            log.warning("%s cannot be trained: %s: %s", self._labels[job], found.error, found.reason)
        if len(bad) == len(self._jobs):
            raise nothing_trained(list(bad.values()))
        cached = sum(made.cached for _, made in outcomes)
        models = {job: made.ref for job, made in outcomes if job not in bad}
        return Populated(models, bad, len(outcomes) - cached, cached, passed_over)
