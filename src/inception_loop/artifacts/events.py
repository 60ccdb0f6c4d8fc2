"""What became of each step of a run, one table a run: times and places, which are no artifacts.

The process of the run writes the table whole, again and again; a step in another process leaves a part of its
own beside it. Reading puts both together, so that whatever was killed, what had been written counts.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.kind import Column, Table
from inception_loop.artifacts.tables import conform, read_table, write_table
from inception_loop.errors import UnknownNameError

EVENTS = "_events"
SUFFIX, PART = ".parquet", ".json"

Outcome = Literal["running", "computed", "cached", "refused", "reserved", "failed", "interrupted"]

TABLE = Table(
    {
        "run_id": Column(pa.string(), "Prefect's id of the run that a person or schedule started"),
        "flow": Column(pa.string(), "name of its flow"),
        "stage": Column(pa.string(), "stage that the step belongs to"),
        "step": Column(pa.string(), "what the step makes"),
        "label": Column(pa.string(), "which of them; empty where there is one"),
        "task_run_id": Column(pa.string(), "Prefect's id of the step; unique in a table"),
        "outcome": Column(
            pa.string(),
            "computed; cached (it stood already); refused (a configuration that cannot work, which is on "
            "record); reserved (another worker makes it); failed; interrupted; running (it had not ended "
            "when the table was written)",
        ),
        "kinds": Column(pa.list_(pa.string()), "kinds of the artifacts that the step returned"),
        "digests": Column(pa.list_(pa.string()), "their digests, in the same order"),
        "started": Column(pa.timestamp("us", "UTC"), "start of the last attempt, by its host's clock"),
        "seconds": Column(pa.float64(), "duration of the last attempt, s; null while it runs", nullable=True),
        "bytes": Column(
            pa.int64(),
            "bytes of the payloads that were written, as their manifests say; 0 if none were, null if a "
            "manifest could not be read",
            nullable=True,
        ),
        "attempts": Column(pa.int64(), "how often the step was begun: 1, more after retries or lost workers"),
        "host": Column(pa.string(), "host of the last attempt"),
        "pid": Column(pa.int64(), "its process"),
        "error": Column(pa.string(), "what was wrong, one line; empty if nothing"),
    }
)


@cache
def _schema() -> pl.Schema:
    """Return the columns of `TABLE` to polars; asked late, since pyarrow's first array loads pandas."""
    empty = pa.table({name: pa.array([], column.type) for name, column in TABLE.columns.items()})
    return pl.DataFrame(pl.from_arrow(empty)).schema


class StepEvent(BaseModel):
    """One attempt at a step, or what is known of all of them; the fields are the columns of `TABLE`."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer project may say more

    run_id: str
    flow: str
    stage: str
    step: str
    label: str
    task_run_id: str
    outcome: Outcome
    kinds: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    started: datetime
    seconds: float | None = None
    bytes: int | None = 0
    attempts: int = 1
    host: str
    pid: int
    error: str = ""

    @property
    def attempt(self) -> tuple[str, datetime, str, int]:
        """What tells this attempt from every other of the run."""
        return self.task_run_id, self.started, self.host, self.pid


def folder_of(run_id: str, begun: datetime) -> str:
    """Return where the parts of a run lie; its table is beside it.

    Examples
    --------
    >>> folder_of("0197-ab", datetime(2026, 11, 23, 7, tzinfo=UTC))
    '_events/2026-11-23/0197-ab'
    """
    return f"{EVENTS}/{begun.astimezone(UTC).date().isoformat()}/{run_id}"


def merged(events: Iterable[StepEvent]) -> list[StepEvent]:
    """Return one event a step, in the order of their starts: its last attempt that ended, else its last.

    An attempt that is told twice counts once, so parts may be read again.
    """
    steps: dict[str, dict[tuple[str, datetime, str, int], StepEvent]] = {}
    for event in events:
        attempts = steps.setdefault(event.task_run_id, {})
        known = attempts.get(event.attempt)
        if known is None or _weight(known) < _weight(event):
            attempts[event.attempt] = event
    found = []
    for attempts in steps.values():
        last = max(attempts.values(), key=lambda one: (one.outcome != "running", one.started))
        found.append(last.model_copy(update={"attempts": sum(one.attempts for one in attempts.values())}))
    return sorted(found, key=lambda one: (one.started, one.task_run_id))


def _weight(event: StepEvent) -> tuple[bool, int]:
    return event.outcome != "running", event.attempts


def write(backend: Backend, folder: str, events: Sequence[StepEvent]) -> None:
    """Write the table of a run in place of the former one, atomically."""
    frame = pl.DataFrame([one.model_dump() for one in events], schema=_schema())
    sink = io.BytesIO()
    write_table(sink, conform(TABLE, frame, "the events of a run"))
    backend.replace(folder + SUFFIX, sink.getvalue())


def leave_part(backend: Backend, folder: str, name: str, event: StepEvent) -> None:
    """Write one event beside the table, as another process than the run's does."""
    backend.replace(f"{folder}/{name}{PART}", event.model_dump_json().encode())


def parts(backend: Backend, folder: str, known: Collection[str] = ()) -> dict[str, StepEvent]:
    """Return the events that lie beside the table of a run, by their keys; not those that are known."""
    found = {}
    for entry in backend.walk(folder):
        new = entry.key.endswith(PART) and entry.key not in known
        data = backend.read(entry.key) if new else None
        if data is not None:  # else the run has just put it into its table
            with suppress(ValidationError):  # not one of ours: nothing else depends on it
                found[entry.key] = StepEvent.model_validate_json(data)
    return found


def table(backend: Backend, folder: str) -> list[StepEvent]:
    """Return what the table of a run holds; nothing if there is none."""
    data = backend.read(folder + SUFFIX)
    if data is None:
        return []
    found = read_table(pa.BufferReader(data), backend.url(folder + SUFFIX))
    return [StepEvent.model_validate(row) for row in found.to_pylist()]


def folders(backend: Backend) -> list[str]:
    """Return the runs that left events, in the order of their days."""
    found = {}
    for entry in backend.walk(EVENTS):  # on a disk there are files that are being written, too
        folder, _, name = entry.key.rpartition("/")
        if name.endswith(SUFFIX):
            found[entry.key.removesuffix(SUFFIX)] = True
        elif name.endswith(PART):
            found[folder] = True
    return list(found)


def of_run(backend: Backend, run: str) -> pl.DataFrame:
    """Return the events of the one run that a person means by its id or the beginning of it.

    A run that was gone on with on a later day has a table on each of them; both are put together.

    Raises
    ------
    UnknownNameError
        If no run, or more than one, is meant.
    """
    meant = [folder for folder in folders(backend) if folder.rpartition("/")[2].startswith(run)]
    ids = {folder.rpartition("/")[2] for folder in meant}
    if len(ids) != 1:
        raise UnknownNameError(
            f"'{run}' means {len(ids)} runs in {backend.uri}; expected exactly one; give more of the run's "
            "id, which `inception-loop store events` lists"
        )
    return frame([event for folder in meant for event in read(backend, folder)])


def recent(backend: Backend, limit: int) -> list[dict[str, Any]]:
    """Return the totals of the runs that began last, the last first; older days are not read."""
    days: dict[str, list[str]] = {}
    for folder in folders(backend):
        days.setdefault(folder.split("/")[1], []).append(folder)
    runs: dict[str, list[StepEvent]] = {}
    for day in sorted(days, reverse=True):
        if len(runs) >= limit:
            break
        for folder in days[day]:
            runs.setdefault(folder.rpartition("/")[2], []).extend(read(backend, folder))
    found = [totals(frame(one)) for one in runs.values() if one]
    return sorted(found, key=lambda one: one["started"], reverse=True)[:limit]


def read(backend: Backend, folder: str) -> list[StepEvent]:
    """Return the events of one run: its table and whatever lies beside it."""
    return merged([*table(backend, folder), *parts(backend, folder).values()])


def frame(events: Iterable[StepEvent]) -> pl.DataFrame:
    """Return events as a table with the columns of `TABLE`."""
    return pl.DataFrame([one.model_dump() for one in merged(events)], schema=_schema())


def totals(events: pl.DataFrame) -> dict[str, Any]:
    """Return what a run did in all: when, how long, how many steps by outcome, bytes, the first error."""
    ends = events.select((pl.col("started") + pl.duration(microseconds=pl.col("seconds") * 1e6)).max()).item()
    first = events["started"].min()
    errors = events.filter(outcome="failed").sort("started")["error"]
    counts = {str(name): int(n) for name, n in events["outcome"].value_counts().iter_rows()}
    return {
        "run_id": events["run_id"][0],
        "flow": events["flow"][0],
        "started": first,
        "seconds": None if ends is None else round((ends - first).total_seconds(), 3),
        "steps": events.height,
        **{outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
        "bytes": int(events["bytes"].sum()),
        "error": errors[0] if errors.len() else "",
    }


OUTCOMES: tuple[Outcome, ...] = (
    "computed",
    "cached",
    "refused",
    "reserved",
    "failed",
    "interrupted",
    "running",
)
