"""A stage: its steps are submitted, waited for and counted; references in and out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from prefect.exceptions import UnfinishedRun
from prefect.futures import PrefectFuture
from pydantic import BaseModel, ConfigDict, Field

from flows._step import BAD, BAD_KIND, RESERVED, run_step
from flows.telling import events, publish
from flows.telling.record import Step, ended
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Make
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.settings import Settings


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
