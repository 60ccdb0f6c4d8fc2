"""Prefect over SQLite: who reads before writing is not refused, and garbage holds up no event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings
from sqlalchemy.ext.asyncio import AsyncEngine

from flows import _sqlite
from flows._sqlite import InLine, keep_going

WRITERS, ROUNDS = 6, 5
LOCKED_S = 60
"""So long waits whoever waits for itself."""

COLLECTED = """
import sys, threading, time
from flows import _sqlite

class Circle:
    def __init__(self):
        self.itself = self
    def __del__(self):
        freed.append(threading.current_thread().name)

freed, _sqlite.EVERY_S = [], 0.05
_sqlite.collect_apart()
Circle()
deadline = time.monotonic() + 30
while not freed and time.monotonic() < deadline:
    [[] for _ in range(5_000)]  # enough for Python to collect here, unless it is told not to
print(freed)
"""


async def raised(config: InLine, engine: AsyncEngine) -> None:
    """Add one as Prefect counts events: read in a transaction, give way to others, write."""
    async with await config.session(engine) as session, config.begin_transaction(session):
        value = (await session.execute(sa.text("select n from counts"))).scalar_one()
        await asyncio.sleep(0.002)
        await session.execute(sa.text("update counts set n = :n"), {"n": value + 1})


async def counted(config: InLine) -> int:
    """Let writers count at once; returns how far they came."""
    engine = await config.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("create table counts (n integer)"))
        await connection.execute(sa.text("insert into counts values (0)"))
    for _ in range(ROUNDS):
        await asyncio.gather(*(raised(config, engine) for _ in range(WRITERS)))
    async with engine.connect() as connection:
        found = (await connection.execute(sa.text("select n from counts"))).scalar_one()
    await engine.dispose()
    return int(found)


def test_who_reads_before_writing_is_not_refused_and_misses_nothing(tmp_path: Path) -> None:
    config = InLine(connection_url=f"sqlite+aiosqlite:///{tmp_path}/runs.db")
    assert asyncio.run(counted(config)) == WRITERS * ROUNDS


async def read_inside(config: InLine) -> tuple[int, int]:
    """Read in a second session, and in a task, before a transaction is through."""
    engine = await config.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("create table counts (n integer)"))
        await connection.execute(sa.text("insert into counts values (3)"))

    async def read() -> int:
        async with await config.session(engine) as second:
            return int((await second.execute(sa.text("select n from counts"))).scalar_one())

    async with await config.session(engine) as session, config.begin_transaction(session):
        await session.execute(sa.text("update counts set n = 4"))
        async with asyncio.timeout(20):  # it would be 60 s
            found = await read(), await asyncio.create_task(read())
    await engine.dispose()
    return found


def test_what_reads_inside_of_a_transaction_does_not_wait_for_it(tmp_path: Path) -> None:
    config = InLine(connection_url=f"sqlite+aiosqlite:///{tmp_path}/runs.db")
    assert asyncio.run(read_inside(config)) == (3, 3)


def test_a_queue_is_paused_and_goes_on(server) -> None:
    """Of all requests those in which Prefect reads inside of a transaction."""
    pool = server.create_work_pool(WorkPoolCreate(name="paused", type="process"))
    (queue,) = server.read_work_queues(work_pool_name=pool.name)
    began = time.monotonic()
    for paused in (True, False):
        server.update_work_queue(queue.id, is_paused=paused)
        assert server.read_work_queue(queue.id).is_paused is paused
    assert time.monotonic() - began < LOCKED_S


def test_garbage_is_collected_in_a_thread_of_its_own() -> None:
    run = [sys.executable, "-c", COLLECTED]
    assert subprocess.check_output(run, text=True, timeout=120) == "['garbage']\n"


@pytest.mark.parametrize(
    ("url", "prepared"),
    [
        ("sqlite+aiosqlite:////data/prefect.db", ["sqlite+aiosqlite:////data/prefect.db", "apart"]),
        ("postgresql+asyncpg://prefect@db/prefect", []),
    ],
)
def test_another_database_needs_nothing(url, prepared, monkeypatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(_sqlite, "set_database_config", lambda config: done.append(config.connection_url))
    monkeypatch.setattr(_sqlite, "collect_apart", lambda: done.append("apart"))
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: url}):
        keep_going()
    assert done == prepared
