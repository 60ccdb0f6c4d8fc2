"""Events of runs: one row a step, readable by anything, and no part of what a store holds."""

import importlib.util
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from inception_loop.artifacts import events, listing, upkeep
from inception_loop.artifacts.disk import TEMPORARY
from inception_loop.artifacts.events import StepEvent
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Column, Kind, Table
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.tables import SCHEMA_VERSION
from inception_loop.artifacts.transfer import copy
from inception_loop.errors import UnknownNameError

ROOT = Path(__file__).resolve().parents[2]
BEGUN = datetime(2026, 11, 23, 23, 59, tzinfo=UTC)
FOLDER = "_events/2026-11-23/run-1"
KIND = Kind("events_test", 1, "A number.", {"number": Table({"value": Column(pa.int64(), "it")})})


def event(task: str, outcome: str = "computed", after: float = 0.0, **changes) -> StepEvent:
    values = {
        "run_id": "run-1",
        "flow": "train",
        "stage": "train",
        "step": "model_job",
        "label": task,
        "task_run_id": task,
        "outcome": outcome,
        "started": BEGUN + timedelta(seconds=after),
        "seconds": None if outcome == "running" else 1.5,
        "host": "a",
        "pid": 7,
    }
    return StepEvent(**{**values, **changes})


@pytest.fixture
def backend(tmp_path):
    return open_store(f"file://{tmp_path}/store").backend


def test_a_run_lies_under_the_day_it_began_in_utc() -> None:
    east = datetime.fromisoformat("2026-11-24T01:59:00+02:00")
    assert events.folder_of("run-1", east) == FOLDER


def test_of_several_attempts_the_last_that_ended_counts_in_whatever_order_they_are_told() -> None:
    told = [
        event("a", "running"),
        event("a", "failed", error="no answer"),
        event("a", "running", after=2, host="b"),
        event("a", "computed", after=2, host="b", bytes=12),
        event("a", "running", after=9),
    ]
    for order in permutations(told):
        (row,) = events.merged([*order, *order[:2]])  # what is told twice counts once
        assert (row.outcome, row.host, row.bytes, row.attempts, row.error) == ("computed", "b", 12, 3, "")
    (row,) = events.merged([event("a", "running"), event("a", "running", after=2)])
    assert (row.outcome, row.attempts, row.started) == ("running", 2, BEGUN + timedelta(seconds=2))


def test_what_the_table_holds_already_is_not_counted_again() -> None:
    table = events.merged([event("a", "failed"), event("a", "computed", after=2)])
    again = events.merged([*table, event("a", "computed", after=2), event("b", "cached", after=1)])
    assert [(row.task_run_id, row.attempts) for row in again] == [("b", 1), ("a", 2)]


def test_a_table_comes_back_as_it_was_written_and_any_reader_reads_it(backend, tmp_path) -> None:
    rows = [
        event("a", kinds=("model", "model"), digests=("0" * 64, "1" * 64), bytes=2**40),
        event("b", "failed", after=1, error="it was wrong"),
        event("c", "running", after=2),
        event("d", "computed", after=3, bytes=None),
    ]
    events.write(backend, FOLDER, rows)
    assert events.table(backend, FOLDER) == rows
    path = tmp_path / "store" / f"{FOLDER}.parquet"
    found = duckdb.sql(f"SELECT * FROM read_parquet('{path.parents[1]}/*/*.parquet') ORDER BY started")
    assert found.columns == list(events.TABLE.columns)
    timeless = pl.exclude("started")  # DuckDB shows times in the zone of its session
    assert found.pl().select(timeless).equals(pl.read_parquet(path).select(timeless))
    assert pl.read_parquet(path)["kinds"].to_list() == [["model", "model"], [], [], []]
    assert pl.read_parquet(path)["bytes"].to_list() == [2**40, 0, 0, None]
    schema = pa.parquet.read_schema(path)
    assert schema.metadata[SCHEMA_VERSION] == b"1"
    assert {f.name: (f.type, f.nullable) for f in schema} == {
        name: (column.type, column.nullable) for name, column in events.TABLE.columns.items()
    }


def test_the_columns_are_documented() -> None:
    spec = importlib.util.spec_from_file_location("make_catalogue", ROOT / "docs" / "make_catalogue.py")
    catalogue = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogue)
    expected = "\n".join(catalogue.payload_lines("events", events.TABLE)[2:])
    assert expected in (ROOT / "docs" / "watching.md").read_text(), f"docs/watching.md lacks:\n{expected}"


def test_the_columns_are_the_fields_of_an_event() -> None:
    assert list(StepEvent.model_fields) == list(events.TABLE.columns)


def test_what_other_processes_left_beside_the_table_belongs_to_the_run(backend) -> None:
    events.leave_part(backend, FOLDER, "1", event("b", "running", after=1, pid=8))
    assert events.folders(backend) == [FOLDER]  # no table stands yet
    events.write(backend, FOLDER, [event("a")])
    events.leave_part(backend, FOLDER, "2", event("b", after=1, pid=8))
    backend.replace(f"{FOLDER}/3.json", b'{"run_id": ')
    for place in (f"{FOLDER}/", f"{FOLDER.rpartition('/')[0]}/"):  # being written
        backend.replace(f"{place}{TEMPORARY}{'0' * 32}", event("c").model_dump_json().encode())
    assert events.folders(backend) == [FOLDER]
    found = events.of_run(backend, "run")
    assert found.select("task_run_id", "outcome", "pid", "attempts").rows() == [
        ("a", "computed", 7, 1),
        ("b", "computed", 8, 1),
    ]
    known = events.parts(backend, FOLDER)
    assert len(known) == 2
    assert events.parts(backend, FOLDER, known) == {}


def test_a_run_that_went_on_on_another_day_is_one_run(backend) -> None:
    events.write(backend, FOLDER, [event("a")])
    events.write(backend, FOLDER.replace("23/", "24/"), [event("b", "cached", after=120)])
    events.write(backend, FOLDER.replace("run-1", "run-2"), [event("c", run_id="run-2")])
    assert events.of_run(backend, "run-1")["task_run_id"].to_list() == ["a", "b"]
    for name, n in (("run", 2), ("other", 0)):
        with pytest.raises(
            UnknownNameError, match=f"^'{name}' means {n} runs in file://.*; expected exactly"
        ):
            events.of_run(backend, name)


def test_totals_count_steps_by_their_outcome() -> None:
    table = events.frame(
        [
            event("a", bytes=5),
            event("b", "cached", after=1),
            event("c", "refused", after=2, bytes=7, error="too many layers"),
            event("d", "failed", after=3, error="second"),
            event("e", "failed", after=2.5, error="first"),
            event("f", "running", after=100),
        ]
    )
    found = events.totals(table)
    assert (found["run_id"], found["flow"], found["started"]) == ("run-1", "train", BEGUN)
    assert found["seconds"] == 4.5
    assert {name: found[name] for name in events.OUTCOMES} == {
        "computed": 1, "cached": 1, "refused": 1, "reserved": 0, "failed": 2, "interrupted": 0, "running": 1
    }  # fmt: skip
    assert (found["steps"], found["bytes"], found["error"]) == (6, 12, "first")


class NumberConfig(Config):
    """A number."""

    value: int


def test_events_are_no_artifacts(tmp_path) -> None:
    store, target = (open_store(f"file://{tmp_path}/{name}") for name in ("store", "target"))
    ref, _ = store.make(
        KIND,
        NumberConfig(value=1),
        lambda attempt: attempt.write_table("number", pl.DataFrame({"value": [1]})),
    )
    before = (listing.page(store), upkeep.verify(store))
    events.write(store.backend, FOLDER, [event("a")])
    events.leave_part(store.backend, FOLDER, "1", event("b"))
    assert (listing.page(store), upkeep.verify(store)) == before
    assert listing.page(store, "_events").artifacts == []
    swept = upkeep.sweep(store, older_than_s=-60)
    assert not [key for key in swept.keys if key.startswith("_events")]
    assert events.of_run(store.backend, "run-1").height == 2
    copy(store, target, ref)
    assert [one.ref.digest for one in listing.artifacts(target)] == [ref.digest]
    assert events.folders(target.backend) == []
