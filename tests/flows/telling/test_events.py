"""The table of events of a run says what became of each of its steps, however the run ended."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from logging.config import DictConfigurator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from prefect import flow
from prefect.logging.configuration import load_logging_config

from flows._stage import Stage, StageResult
from flows.cluster.runner import runner
from flows.telling import events as recorder
from flows.telling import record
from flows.telling.record import Step, recorded
from flows.telling.runs import watched
from inception_loop.artifacts import events
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome, open_store
from inception_loop.errors import DataError, StoreError, TransientStoreError

ROOT = Path(__file__).resolve().parents[3]
NUMBER = Kind("told_number", 1, "A number.", {"number": Table({"value": Column(pa.int64(), "the number")})})
tries: list[int] = []


class NumberConfig(Config):
    """Its value."""

    value: int


class Numbers(Config):
    """What a run counts."""

    first: tuple[int, ...]
    second: tuple[int, ...] = ()


def make_number(store: ArtifactStore, config: NumberConfig, *, before: ArtifactRef | None = None) -> Outcome:
    def build(attempt: Attempt) -> None:
        attempt.write_table("number", pl.DataFrame({"value": [config.value] * abs(config.value)}))
        if config.value == -7:
            tries.append(1)
            if len(tries) == 1:
                raise TransientStoreError("no answer; expected one; wait")
        elif config.value < 0:
            raise DataError(f"number {config.value};\nexpected none below 0")

    return store.make(NUMBER, config, build, {} if before is None else {"before": before})


def make_nothing(store: ArtifactStore, config: NumberConfig, **_: ArtifactRef | None) -> list[Outcome]:
    return []


@flow(name="count", task_runner=runner(), **watched(lambda p: f"count {p.first}"))
def count(parameters: Numbers) -> StageResult:
    stage, made = Stage("count"), None
    for value in parameters.first:
        make = make_nothing if value == 0 else make_number
        made = stage.submit(make, NumberConfig(value=value), label=f"no {value}", before=made or None)
        made = None if value == 0 else made
    return stage.result()


@flow(name="twice", **watched(lambda p: "twice"))
def twice(parameters: Numbers) -> list[StageResult]:
    return [count(Numbers(first=parameters.first)), count(Numbers(first=parameters.second))]


@pytest.fixture(autouse=True)
def uri(tmp_path, monkeypatch):
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    return f"file://{tmp_path}/store"


@pytest.fixture
def told():
    """The records of steps' logs."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if hasattr(record, "event"):
                records.append(record)

    keep, logger = Keep(), logging.getLogger("prefect.task_runs")
    before = logger.level, logger.propagate
    logger.addHandler(keep)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield records
    logger.removeHandler(keep)
    logger.setLevel(before[0])
    logger.propagate = before[1]


def table_of(uri: str, state) -> pl.DataFrame:
    run = str(state.state_details.flow_run_id)
    (path,) = Path(uri.removeprefix("file://")).glob(f"_events/*/{run}*")  # no part is left beside it
    return pl.read_parquet(path)


def test_a_table_counts_what_the_summary_counts_and_bytes_are_those_of_the_manifests(uri, told) -> None:
    state = twice(Numbers(first=(1, 2), second=(2, 3)), return_state=True)
    first, second = state.result()
    rows = table_of(uri, state).sort("started")
    assert rows["outcome"].to_list() == ["computed", "computed", "computed", "computed"]
    assert (first.computed, second.computed) == (2, 2)  # the second 2 is another question: it has no before
    store = open_store(uri)
    refs = [*first.refs[NUMBER.name], *second.refs[NUMBER.name]]
    sizes = [store.manifest(ref).payloads["number"].size for ref in refs]
    assert rows["digests"].to_list() == [[ref.digest] for ref in refs]
    assert rows["bytes"].to_list() == sizes
    assert rows["kinds"].to_list() == [[NUMBER.name]] * 4
    assert set(rows["flow"]) == {"twice"}
    assert set(rows["run_id"]) == {str(state.state_details.flow_run_id)}
    assert set(rows.select("stage", "step", "host", "pid").rows()) == {
        ("count", "number", rows["host"][0], os.getpid())
    }
    assert rows["label"].to_list() == ["no 1", "no 2", "no 2", "no 3"]
    assert (rows["seconds"] > 0).all()
    assert rows["task_run_id"].n_unique() == 4

    again = twice(Numbers(first=(1, 2), second=(2, 3)), return_state=True)
    rerun = table_of(uri, again).sort("started")
    assert rerun["outcome"].to_list() == ["cached"] * 4
    assert rerun["bytes"].to_list() == [0] * 4
    assert rerun["digests"].to_list() == rows["digests"].to_list()

    lines = [record.getMessage() for record in told]
    assert len(lines) == 2 * 2 * 4
    assert lines[0] == 'started stage=count step=number label="no 1"'
    digest = refs[0].digest[:12]
    head, _, tail = lines[1].partition(" seconds=")
    assert head == f'computed stage=count step=number label="no 1" kind={NUMBER.name} digest={digest}'
    assert tail.endswith(f" bytes={sizes[0]}")
    assert sum(line.startswith("cached ") for line in lines) == 4


def test_a_step_that_fails_leaves_its_line_and_the_others_theirs(uri) -> None:
    state = count(Numbers(first=(4, -1, 5)), return_state=True)
    assert state.is_failed()
    rows = table_of(uri, state)
    assert rows.select("label", "outcome", "error").rows() == [
        ("no 4", "computed", ""),
        ("no -1", "failed", "number -1; expected none below 0"),
    ]  # the third never began
    assert rows["digests"].to_list()[1] == []


def test_a_step_that_is_tried_again_and_one_that_is_reserved_are_said(uri, monkeypatch) -> None:
    tries.clear()
    state = count(Numbers(first=(0, -7)), return_state=True)
    rows = table_of(uri, state)
    assert state.is_completed()
    assert sorted(rows.select("label", "outcome", "attempts", "error").rows()) == [
        ("no -7", "computed", 2, ""),
        ("no 0", "reserved", 1, ""),
    ]


def test_steps_of_another_process_come_into_the_one_table(uri, monkeypatch) -> None:
    recorder.begin("run-9", "count")
    origin = recorder.origin()
    assert origin is not None
    with recorded(Step(stage="count", make="number", label="here", origin=origin)) as record:
        record.ended("cached")
    here, elsewhere = dict(recorder._recorders), {}
    monkeypatch.setattr(recorder, "_recorders", elsewhere)  # as in the process of a worker
    with recorded(Step(stage="count", make="number", label="there", origin=origin)) as record:
        record.ended("computed", size=9)
    with (
        pytest.raises(DataError),
        recorded(Step(stage="count", make="number", label="wrong", origin=origin)),
    ):
        raise DataError("it was wrong")
    monkeypatch.setattr(recorder, "_recorders", here)
    store = Path(uri.removeprefix("file://"))
    assert len(list(store.glob("_events/*/run-9/*.json"))) == 4
    found = recorder.end("run-9")
    assert (found["steps"], found["cached"], found["computed"], found["failed"]) == (3, 1, 1, 1)
    assert (found["bytes"], found["error"]) == (9, "it was wrong")
    (path,) = store.glob("_events/*/run-9*")
    assert pl.read_parquet(path)["label"].sort().to_list() == ["here", "there", "wrong"]
    assert "run-9" not in recorder._recorders


def test_a_step_that_outlives_its_run_is_in_the_table_too(uri) -> None:
    recorder.begin("run-8", "count")
    with recorded(Step(stage="count", make="number", origin=recorder.origin())) as record:
        assert recorder.end("run-8")["running"] == 1
        record.ended("computed")
    assert events.of_run(open_store(uri).backend, "run-8")["outcome"].to_list() == ["computed"]
    assert "run-8" not in recorder._recorders
    assert recorder.origin() is None


CHILD = """
import sys, time
from flows.telling import events as recorder
from flows.telling.record import Step, recorded
recorder.FLUSH_SECONDS = 0.05
recorder.begin("run-7", "count")
step = Step(stage="count", make="number", label="first", origin=recorder.origin())
with recorded(step) as record:
    record.ended("computed", size=3)
with recorded(step.model_copy(update={"label": "second"})):
    time.sleep(600)
"""


def test_a_killed_run_leaves_what_was_written_last_and_another_process_goes_on_with_it(uri) -> None:
    backend = open_store(uri).backend
    child = subprocess.Popen([sys.executable, "-c", CHILD], cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not events.folders(backend) or events.of_run(backend, "run-7").height < 2:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    left = events.of_run(backend, "run-7")
    assert left.select("label", "outcome", "bytes").rows() == [
        ("first", "computed", 3),
        ("second", "running", 0),
    ]
    assert not [entry.key for entry in backend.walk("_events") if not entry.key.endswith(".parquet")]

    recorder.begin("run-7", "count")  # Prefect starts the same run again
    with recorded(Step(stage="count", make="number", label="third", origin=recorder.origin())) as record:
        record.ended("cached")
    assert recorder.end("run-7")["steps"] == 3


def test_a_terminal_shows_runs_and_the_steps_of_one(uri, call) -> None:
    assert call("store", "events", "--store", uri).out == "no run has left events here\n"
    states = [count(Numbers(first=first), return_state=True) for first in ((1, -2), (1,))]
    said = call("store", "events", "--store", uri)
    failed, good = (str(state.state_details.flow_run_id) for state in states)
    lines = said.out.splitlines()
    assert [line[:36] for line in lines if line[0] != " "] == [good, failed]  # the last first
    assert lines[0].endswith(" 1 cached, 0.00 MB")
    assert " 1 computed, 1 failed, " in lines[1]
    assert lines[2] == "  ✗ number -2; expected none below 0"
    (run,) = json.loads(call("store", "events", "--limit", "1", "--json", "--store", uri).out)["runs"]
    assert (run["run_id"], run["cached"], run["steps"], run["bytes"]) == (good, 1, 1, 0)
    of_one = call("store", "events", failed[:30], "--store", uri).out.splitlines()
    assert [line.split()[3:5] for line in of_one if line[9] == "s"] == [["✓", "computed"], ["✗", "failed"]]
    assert of_one[-1].strip() == "number -2; expected none below 0"
    rows = json.loads(call("store", "events", failed, "--json", "--store", uri).out)
    assert [row["label"] for row in rows] == ["no 1", "no -2"]
    unknown = call("store", "events", "nobody", "--store", uri)
    assert unknown.status == 2
    assert "'nobody' means 0 runs in " in unknown.err


def test_a_store_that_takes_no_events_is_said_once_and_fails_nothing(uri, monkeypatch, caplog) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("read-only; expected to write; ask for permission")

    monkeypatch.setattr(events, "write", refuse)
    monkeypatch.setattr(events, "leave_part", refuse)
    with caplog.at_level(logging.WARNING):
        recorder.begin("run-6", "count")
        origin = recorder.origin()
        for _ in range(3):
            with recorded(Step(stage="count", make="number", origin=origin)) as record:
                record.ended("computed")
        assert recorder.end("run-6")["computed"] == 3
        with recorded(Step(stage="count", make="number", origin=origin)) as record:
            record.ended("computed")
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "the events of this run are not kept: read-only; expected to write; ask for permission"
    assert sum(line.startswith("the events of this run") for line in said) == 1


def test_logs_are_json_lines_by_prefects_own_settings(uri, told, monkeypatch) -> None:
    """As docs/watching.md says it."""
    page = (ROOT / "docs" / "watching.md").read_text()
    named = "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER=json"
    assert named in page
    monkeypatch.setenv(*named.split("="))
    count(Numbers(first=(6,)))
    config = load_logging_config(Path(sys.modules["prefect.logging"].__path__[0]) / "logging.yml")
    formatter = config["handlers"]["console"]["formatter"]
    as_configured = DictConfigurator(config).configure_formatter(config["formatters"][formatter])
    line = json.loads(as_configured.format(told[-1]))
    assert line["event"]["what"] == "computed"
    assert line["event"]["step"] == "number"
    assert line["event"]["bytes"] > 0
    assert len(line["event"]["digest"]) == 12
    assert line["task_run_name"] == "number no 6"


def test_no_error_is_longer_than_a_line() -> None:
    assert len(record.line_of(ValueError("x" * 10_000))) == record.LINE
    assert "\n" not in record.line_of(DataError("a\nb"))
