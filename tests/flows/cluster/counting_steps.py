"""Steps and flows that other processes can import: numbers, slow numbers, and numbers that are refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from prefect import flow

from flows._stage import Stage, StageResult
from flows._step import DEVICE
from flows.cluster.runner import runner
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError, Refusal, RefusedUnitsError

NUMBER = Kind(
    name="counting_number",
    version=1,
    meaning="A number of a test.",
    payloads={"number": Table({"value": Column(pa.int64(), "the number")})},
    partition=(),
)
SLOW_S = 120.0


class NumberConfig(Config):
    """Its value; one above 1000 is slow, one below 0 an error, one below -9 a unit that is refused."""

    value: int


def make_number(store: ArtifactStore, config: NumberConfig, *, before: Any = None) -> Outcome:
    """Make a number; where one is slow, it shows signs of progress all the time."""

    def build(attempt: Attempt) -> None:
        ends = time.monotonic() + (SLOW_S if config.value > 1000 else 0)
        attempt.progress(1, 2, "half")
        while time.monotonic() < ends:
            time.sleep(0.02)
            attempt.progress(1, 2, "half")
        attempt.write_table("number", pl.DataFrame({"value": [config.value]}))
        if config.value < -9:
            raise RefusedUnitsError(Refusal("dark", {f"a/{-config.value}": ""}, "expected light"))
        if config.value < 0:
            raise DataError(f"number {config.value}; expected none below 0; raise it")

    refs = [before] if isinstance(before, ArtifactRef) else list(before or ())
    return store.make(NUMBER, config, build, {"before": refs} if refs else {})


@flow(task_runner=runner())
def count(*values: int) -> StageResult:
    """Make numbers, each of which needs the one before."""
    stage, made = Stage("count"), None
    for value in values:
        made = stage.submit(make_number, NumberConfig(value=value), label=str(value), before=made)
    return stage.result()


@flow(task_runner=runner())
def count_apart(*values: int, needs: str | None = None) -> StageResult:
    """Make numbers at once, and one that needs all of them."""
    stage = Stage("apart", needs=needs)
    made = [stage.submit(make_number, NumberConfig(value=value), label=str(value)) for value in values]
    stage.submit(make_number, NumberConfig(value=sum(values)), label="sum", before=made)
    return stage.result()


@flow(task_runner=runner())
def count_on_device(*values: int) -> StageResult:
    """Do as `count_apart` with steps that need the device."""
    return count_apart.fn(*values, needs=DEVICE)


@flow(task_runner=runner())
def count_beside(first: int, *others: int, mark: str) -> StageResult:
    """Begin with one number, and with the others once a file exists."""
    stage = Stage("beside")
    begun = stage.submit(make_number, NumberConfig(value=first), label=str(first))
    while not Path(mark).exists():
        time.sleep(0.01)
    for value in others:
        stage.wait(stage.submit(make_number, NumberConfig(value=value), label=str(value)))
    stage.wait(begun)
    return stage.result()


@flow(task_runner=runner())
def count_on(first: int, second: int, mark: str) -> StageResult:
    """Make a number, and one that needs it once a file exists."""
    stage = Stage("on")
    made = stage.submit(make_number, NumberConfig(value=first), label=str(first))
    while not Path(mark).exists():
        time.sleep(0.01)
    stage.submit(make_number, NumberConfig(value=second), label=str(second), before=made)
    return stage.result()
