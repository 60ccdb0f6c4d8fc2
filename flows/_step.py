"""One step of a stage as a Prefect task: a ``make_…`` function of the library on the configured store."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from threadpoolctl import threadpool_limits

from flows import _interrupt
from flows.observing import Event, What, say, tell
from flows.telling import publish
from flows.telling.record import Record, Step, recorded
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Make
from inception_loop.artifacts.store import ArtifactStore, Outcome, open_store
from inception_loop.errors import InceptionLoopError, TransientStoreError
from inception_loop.settings import Settings
from inception_loop.training.tally import GOES_ON

DEVICE = "device"
"""Tag of steps that compute on the setting ``device``: on a cluster with GPUs they get one."""
RESERVED = "Reserved"
"""State of a step that made nothing, since another worker has reserved what it makes."""
BAD_KIND = "bad_config"
BAD = "Bad config"
"""State of a step that ended with the record that its configuration cannot work."""


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
