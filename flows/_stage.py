"""How a stage runs library steps as Prefect tasks: references in and out, hits shown as ``Cached``."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import UnfinishedRun
from prefect.futures import PrefectFuture
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits

from flows import _interrupt
from flows.telling import events, publish
from flows.telling.record import Record, Step, ended, recorded
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Make
from inception_loop.artifacts.store import ArtifactStore, Outcome, open_store
from inception_loop.errors import InceptionLoopError, Refusal, RefusedUnitsError, TransientStoreError
from inception_loop.settings import Settings
from inception_loop.training.tally import GOES_ON


class StageResult(BaseModel):
    """What a stage hands on: references by kind, and how much of it was already there."""

    model_config = ConfigDict(frozen=True)

    stage: str
    refs: dict[str, list[ArtifactRef]] = Field(description="References by kind, in the order of submission.")
    computed: int = Field(description="Steps computed in this run.")
    cached: int = Field(description="Steps whose artifacts were already in the store.")
    bad: int = Field(default=0, description="Configurations that cannot be trained; they count as neither.")
    seconds: float = Field(description="Wall time of the stage.")

    def counts(self) -> dict[str, float]:
        """Return the stage's line of ``summary.json``."""
        bad = {"cannot_be_trained": self.bad} if self.bad else {}
        return {"computed": self.computed, "cached": self.cached, **bad, "seconds": round(self.seconds, 1)}

    def words(self) -> str:
        """Return the same for a person."""
        bad = f", {self.bad} cannot be trained" if self.bad else ""
        return f"{self.computed} computed, {self.cached} already there{bad}"

    def one(self, kind: str) -> ArtifactRef:
        """Return the only reference of a kind."""
        (ref,) = self.refs[kind]
        return ref


What = Literal["started", "progress", "finished", "failed", "passed", "refused", "said", "overall"]


class Event(BaseModel):
    """Something a person watching the run wants to see."""

    stage: str
    what: What
    name: str
    done: float = 0.0
    total: float = 0.0
    text: str = ""
    cached: bool = False
    seconds: float = 0.0
    made: dict[str, int] = Field(default_factory=dict, description="What a step ended with, by kind.")


DEVICE = "device"
"""Tag of steps that compute on the setting ``device``: on a cluster with GPUs they get one."""
RESERVED = "Reserved"
"""State of a step that made nothing, since another worker has reserved what it makes."""
BAD_KIND = "bad_config"
BAD = "Bad config"
"""State of a step that ended with the record that its configuration cannot work."""

Observer = Callable[[Event], None]
_observers: list[Observer] = []


@contextmanager
def listening(observer: Observer) -> Iterator[None]:
    """Send every event of stages run in this process to ``observer`` while the context is open."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Do as `listening` does.

    Meanwhile Prefect's logs of runs (tracebacks among them) go to its API alone, not to the terminal too.
    """
    loggers = [logging.getLogger(f"prefect.{name}") for name in ("engine", "flow_runs", "task_runs")]
    before = [logger.propagate for logger in loggers]
    try:
        for logger in loggers:
            logger.propagate = False
        with listening(observer):
            yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.propagate = propagate


def tell(event: Event) -> None:
    """Send an event to whoever watches."""
    for observer in list(_observers):
        observer(event)


def say(stage: str, text: str) -> None:
    """Tell whoever watches the run a line that is no step's."""
    tell(Event(stage=stage, what="said", name="", text=text))


class _Watch:
    """Carries the progress of one step to the observers and into Prefect."""

    def __init__(self, step: Step) -> None:
        self.stage, self.name = step.stage, step.name
        self._artifact = publish.Progress(f"{step.stage}: {step.name}")
        self._started = time.monotonic()

    def __call__(self, done: float, total: float, text: str = "") -> None:
        _interrupt.check()
        if text.startswith(GOES_ON):
            say(self.stage, f"{self.name} {text}")
            return
        tell(Event(stage=self.stage, what="progress", name=self.name, done=done, total=total, text=text))
        self._artifact.update(done, total)

    def tell(self, what: What, **changes: Any) -> None:
        seconds = time.monotonic() - self._started
        tell(Event(stage=self.stage, what=what, name=self.name, seconds=seconds, **changes))


def _may_pass(task: object, run: object, state: State[Any]) -> bool:
    try:
        state.result()
    except TransientStoreError:
        return True
    except Exception:
        return False
    return False


@task(
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 4, 15],
    retry_jitter_factor=0.5,
    retry_condition_fn=_may_pass,
)
def run_step(make: Make, step: Step, config: Config, inputs: Mapping[str, Any]) -> Any:
    """Run one ``make_…`` function of the library against the configured store."""
    _interrupt.check()
    settings = Settings()
    _limit_threads(settings.threads)
    watch = _Watch(step)
    watch.tell("started")
    with recorded(step) as record:
        store = open_store(settings.store, settings=settings, on_progress=watch)
        return _ended(store, _made(make, store, config, inputs, watch), watch, record)


def _made(
    make: Make, store: ArtifactStore, config: Config, inputs: Mapping[str, Any], watch: _Watch
) -> Outcome | list[Outcome]:
    try:
        made = make(store, config, **inputs)
        return made if isinstance(made, Outcome) else list(made)
    except _interrupt.StoppedError:
        raise
    except TransientStoreError as error:
        watch.tell("failed", text=str(error))  # it may be tried again: what was wrong is said here only
        raise
    except Exception:
        watch.tell("failed")
        raise


def _ended(store: ArtifactStore, made: Outcome | list[Outcome], watch: _Watch, record: Record) -> Any:
    """Tell whoever watches what a step made, and return the state that it ends in."""
    outcomes = [made] if isinstance(made, Outcome) else made
    if not outcomes:
        watch.tell("passed", text="another worker has reserved it")
        record.ended("reserved")
        return Completed(name=RESERVED, data=[])
    cached = all(outcome.cached for outcome in outcomes)
    refs = [outcome.ref for outcome in outcomes]
    kinds = dict(Counter(ref.kind for ref in refs))
    result = refs[0] if isinstance(made, Outcome) else refs
    size = _size(store, [outcome.ref for outcome in outcomes if not outcome.cached])
    if set(kinds) == {BAD_KIND} and len(refs) == 1:
        reason = _reason(store, refs[0])
        watch.tell("refused", cached=cached, made=kinds, text=reason)
        record.ended("refused", refs, size=size, error=reason)
        return Completed(name=BAD, data=result)
    for ref in refs:
        if ref.kind == BAD_KIND:
            say(
                watch.stage,
                f"✗ {store.table(ref, BAD_KIND)['what'].item()} cannot be trained: {_reason(store, ref)}",
            )
    bad = f"{kinds[BAD_KIND]} of {len(refs)} cannot be trained" if BAD_KIND in kinds else ""
    watch.tell("finished", cached=cached, made=kinds, text=bad)
    record.ended("cached" if cached else "computed", refs, size=size)
    return Completed(name="Cached", data=result) if cached else result


def _size(store: ArtifactStore, refs: Iterable[ArtifactRef]) -> int | None:
    """Return the bytes of what was written; None if that cannot be read: no reason to fail a step."""
    try:
        payloads = [payload for ref in refs for payload in store.manifest(ref).payloads.values()]
    except InceptionLoopError:
        return None
    return sum(payload.size for payload in payloads)


def _reason(store: ArtifactStore, record: ArtifactRef) -> str:
    return str(store.table(record, BAD_KIND)["reason"].item())


def _limit_threads(threads: int) -> None:
    """Give one step its share of the cores: several run at a time, and sums depend on how they are split."""
    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


class Stage:
    """Collects the steps of one stage: submit them, wait for every one, count hits.

    A future that nobody waits for would leave its run COMPLETED although its task failed, so `result`
    waits for all of them.

    Parameters
    ----------
    name
        Of the stage.
    needs
        `DEVICE` if its steps compute on the device.
    """

    def __init__(self, name: str, *, needs: str | None = None) -> None:
        self.name = name
        self._tags = None if needs is None else {needs}
        self._keys: list[tuple[Make, Config, str]] = []
        self._futures: list[PrefectFuture[Any]] = []
        self._started = time.monotonic()

    def submit(self, make: Make, config: Config, *, label: str = "", **inputs: Any) -> PrefectFuture[Any]:
        """Submit ``make(store, config, **inputs)``; inputs may be futures of earlier steps.

        The `inception_loop.artifacts.steps.Run` of Prefect. Submitted again, a step that another worker had
        reserved takes its former place.
        """
        what = make.__name__.removeprefix("make_")
        step = Step(stage=self.name, make=what, label=label, origin=events.origin())
        task = run_step.with_options(name=what, task_run_name=step.name, tags=self._tags)
        future = task.submit(make, step, config, inputs)
        self._keep((make, config, label), future)
        return future

    def _keep(self, key: tuple[Make, Config, str], future: PrefectFuture[Any]) -> None:
        for place, (before, former) in enumerate(zip(self._keys, self._futures, strict=True)):
            if before == key and former.state.name == RESERVED:
                self._futures[place] = future
                return
        self._keys.append(key)
        self._futures.append(future)

    def wait(self, future: PrefectFuture[Any]) -> Any:
        """Wait for one step and return what it made; raises what the first failed step raised.

        A step whose input failed never ran; Prefect says of it that it is pending, which helps nobody.
        """
        try:
            return future.result()
        except UnfinishedRun:
            self.made()
            raise

    def result(self) -> StageResult:
        """Do as `made`, and tell the run what the stage has made: its last word."""
        result = self.made()
        publish.table(
            f"{self.name}-artifacts",
            [
                {"kind": r.kind, "digest": r.digest, "uri": r.uri}
                for group in result.refs.values()
                for r in group
            ],
            f"{self.name}: {result.words()}",
        )
        ended(self.name, result.counts())
        return result

    def made(self) -> StageResult:
        """Wait for every step and return the references; raises what the first failed step raised.

        Where steps refuse units of theirs, the other steps go on first, so that all such units are named.
        """
        refs: dict[str, list[ArtifactRef]] = {}
        refusals: list[Refusal] = []
        cached = refused = 0
        for future in self._futures:
            try:
                made = future.result()
            except RefusedUnitsError as error:
                refusals += error.refusals
                continue
            except UnfinishedRun:
                if not refusals:
                    raise
                continue  # one that needs what was refused
            for ref in [made] if isinstance(made, ArtifactRef) else made:
                refs.setdefault(ref.kind, []).append(ref)
            cached += future.state.name == "Cached"
            refused += future.state.name == BAD
        if refusals:
            raise RefusedUnitsError(*refusals)
        return StageResult(
            stage=self.name,
            refs=refs,
            computed=len(self._futures) - cached - refused,
            cached=cached,
            bad=len(refs.get(BAD_KIND, [])),
            seconds=time.monotonic() - self._started,
        )


def configured_store() -> ArtifactStore:
    """Open the store that the settings name."""
    settings = Settings()
    return open_store(settings.store, settings=settings)


def merge(stage: str, results: Iterable[StageResult]) -> StageResult:
    """Add up several runs of one stage, as in the table of a summary."""
    refs: dict[str, list[ArtifactRef]] = {}
    computed = cached = bad = 0
    seconds = 0.0
    for result in results:
        for kind, found in result.refs.items():
            refs.setdefault(kind, []).extend(found)
        computed, cached, bad = computed + result.computed, cached + result.cached, bad + result.bad
        seconds += result.seconds
    return StageResult(stage=stage, refs=refs, computed=computed, cached=cached, bad=bad, seconds=seconds)
