"""Steps as Prefect tasks: hits are ``Cached``, errors come out as they are, what may pass is tried again."""

import logging
import os
import signal
import threading
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from prefect import flow
from prefect.states import Failed

from flows import _interrupt, _step
from flows._stage import Stage, StageResult, merge
from flows.cluster.runner import runner
from flows.observing import Event, observed
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome, open_store
from inception_loop.errors import DataError, Refusal, RefusedUnitsError, StoreError, TransientStoreError

NUMBER = Kind(
    name="stage_test_number",
    version=1,
    meaning="A number of a test.",
    payloads={"number": Table({"value": Column(pa.int64(), "the number")})},
    partition=(),
)


class NumberConfig(Config):
    """Its value."""

    value: int


def make_number(store: ArtifactStore, config: NumberConfig, *, before: ArtifactRef | None = None) -> Outcome:
    def build(attempt: Attempt) -> None:
        attempt.progress(1, 2, "half")
        attempt.write_table("number", pl.DataFrame({"value": [config.value]}))
        if config.value < -9:
            raise RefusedUnitsError(Refusal("dark", {f"a/{-config.value}": ""}, "expected light"))
        if config.value < 0:
            raise DataError(f"number {config.value}; expected none below 0; raise it")

    inputs = {} if before is None else {"before": before}
    return store.make(NUMBER, config, build, inputs)


@flow(task_runner=runner())
def count(*values: int) -> StageResult:
    stage, made = Stage("count"), None
    for value in values:
        made = stage.submit(make_number, NumberConfig(value=value), label=str(value), before=made)
    return stage.result()


@pytest.fixture(autouse=True)
def uri(tmp_path, monkeypatch):
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    return f"file://{tmp_path}/store"


@pytest.fixture
def events():
    seen: list[Event] = []
    with observed(seen.append):
        yield seen


def test_a_stage_counts_hits_and_hands_on_references_in_order(uri, events) -> None:
    first = count(1, 2)
    again = count(1, 2, 3)
    assert (first.computed, first.cached) == (2, 0)
    assert (again.computed, again.cached) == (1, 2)
    store = open_store(uri)
    values = [store.table(ref, "number")["value"].item() for ref in again.refs["stage_test_number"]]
    assert values == [1, 2, 3]
    assert again.refs["stage_test_number"][:2] == first.refs["stage_test_number"]
    assert store.inputs(again.refs["stage_test_number"][2])["before"] == [first.refs["stage_test_number"][1]]
    ended = [(event.name, event.cached) for event in events if event.what == "finished"]
    assert ended == [
        ("number 1", False),
        ("number 2", False),
        ("number 1", True),
        ("number 2", True),
        ("number 3", False),
    ]
    assert {(e.done, e.total, e.text) for e in events if e.what == "progress"} == {(1.0, 2.0, "half")}


def test_the_error_of_the_first_failed_step_comes_out_and_nothing_half_written(uri, events) -> None:
    with pytest.raises(DataError, match=r"^number -1; expected none below 0; raise it$"):
        count(1, -1, 2)
    assert [event.name for event in events if event.what == "failed"] == ["number -1"]
    assert [path for path in walk(uri) if "_leases" not in path] == [
        path for path in walk(uri) if "manifest.json" in path or "number.parquet" in path
    ]
    assert sum("manifest.json" in path for path in walk(uri)) == 1


@flow(task_runner=runner())
def count_apart(*batches: tuple[int, ...]) -> StageResult:
    """Count in batches, of which each step needs the one before."""
    stage = Stage("count apart")
    for batch in batches:
        made = None
        for value in batch:
            made = stage.submit(make_number, NumberConfig(value=value), label=str(value), before=made)
    return stage.result()


def test_other_batches_go_on_where_units_are_refused_and_all_such_units_are_named(uri, events) -> None:
    with pytest.raises(RefusedUnitsError, match=r"^dark: a/10, a/20; expected light$") as refused:
        count_apart((1, -10, 2), (3, 4), (-20, 5))
    assert refused.value.units == ("a/10", "a/20")
    assert {e.name for e in events if e.what == "finished"} == {"number 1", "number 3", "number 4"}
    with pytest.raises(DataError, match="number -1; expected none below 0"):  # what else is wrong comes first
        count_apart((-10,), (-1,))


def walk(uri: str) -> list[str]:
    root = uri.removeprefix("file://")
    return [str(path) for path in Path(root).rglob("*") if path.is_file()]


def test_observers_see_runs_only_while_they_look_and_prefect_logs_again_after() -> None:
    loggers = [logging.getLogger(f"prefect.{name}") for name in ("engine", "flow_runs", "task_runs")]
    before = [logger.propagate for logger in loggers]
    seen: list[Event] = []

    def fail() -> None:
        with observed(seen.append):
            assert not any(logger.propagate for logger in loggers)
            raise DataError("out")

    with pytest.raises(DataError):
        fail()
    count(5)
    assert seen == []
    assert [logger.propagate for logger in loggers] == before


@pytest.mark.parametrize(
    ("error", "again"),
    [(TransientStoreError("no answer"), True), (StoreError("full"), False), (ValueError("x"), False)],
)
def test_only_what_may_pass_is_tried_again(error, again) -> None:
    assert _step._may_pass(None, None, Failed(data=error)) is again


def test_a_step_is_tried_again_and_says_what_was_wrong(monkeypatch, events) -> None:
    tries = []

    def make_shaky(store: ArtifactStore, config: NumberConfig) -> Outcome:
        tries.append(1)
        if len(tries) == 1:
            raise TransientStoreError("the store did not answer; expected an answer; wait")
        return make_number(store, config)

    @flow(task_runner=runner())
    def shaky() -> StageResult:
        stage = Stage("shaky")
        stage.submit(make_shaky, NumberConfig(value=7))
        return stage.result()

    assert shaky().computed == 1
    assert len(tries) == 2
    told = [(event.what, event.text) for event in events if event.what in {"failed", "finished"}]
    assert told == [("failed", "the store did not answer; expected an answer; wait"), ("finished", "")]


def test_a_step_that_goes_on_from_a_checkpoint_says_so_in_a_line(events) -> None:
    def make_resumed(store: ArtifactStore, config: NumberConfig) -> Outcome:
        store.progress(38, 100, "goes on after epoch 38")
        return make_number(store, config)

    @flow(task_runner=runner())
    def resumed() -> StageResult:
        stage = Stage("resumed")
        stage.submit(make_resumed, NumberConfig(value=8), label="a")
        return stage.result()

    resumed()
    assert [event.text for event in events if event.what == "said"] == ["resumed a goes on after epoch 38"]
    assert [event.done for event in events if event.what == "progress"] == [1.0]


def test_runs_of_one_stage_add_up() -> None:
    ref = ArtifactRef(kind="a", digest="0" * 64, uri=f"memory://x/a/{'0' * 64}")
    one = StageResult(stage="x", refs={"a": [ref]}, computed=1, cached=2, seconds=0.5)
    both = merge("both", [one, one])
    assert both.counts() == {"computed": 2, "cached": 4, "seconds": 1.0}
    assert both.refs == {"a": [ref, ref]}
    assert one.one("a") == ref
    refused = merge("all", [one.model_copy(update={"bad": 2}), one])
    assert refused.counts() == {"computed": 2, "cached": 4, "cannot_be_trained": 2, "seconds": 1.0}
    assert refused.words() == "2 computed, 4 already there, 2 cannot be trained"
    with pytest.raises(ValueError, match="too many"):
        both.one("a")


def test_a_step_ends_at_its_next_sign_of_progress_once_the_run_was_interrupted(uri, monkeypatch) -> None:
    monkeypatch.setattr(_interrupt, "GRACE_SECONDS", 600.0)
    stopping = threading.Event()
    monkeypatch.setattr(_interrupt, "_stopping", stopping)

    before = signal.getsignal(signal.SIGINT)  # a shell in the background starts its children with SIG_IGN

    def press() -> None:
        with _interrupt.handled():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        press()
    assert stopping.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(_interrupt.StoppedError):
        _interrupt.check()
    with pytest.raises(_interrupt.StoppedError):
        count(1)
    assert not [path for path in walk(uri) if "manifest.json" in path]
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
            thread.join()
