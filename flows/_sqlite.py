"""What keeps Prefect's server going over SQLite: who writes waits in line, and the event loop never waits.

Two things stop it otherwise (docs/adr/0010-sqlite.md). A transaction that reads before it writes is refused
at once where another writes ("database is locked"), and after four refusals an event is lost: a sign of life,
or the arrival of a recording. And where Python happens to collect garbage in the event loop's thread, the
statements of a connection that waits for the lock may be among it: the loop then waits for that connection,
whose turn comes when a transaction ends that only the loop can end, 60 s later.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.database.dependencies import set_database_config
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

EVERY_S = 1.0
"""Pause between two collections of young garbage."""
FULL_EVERY = 30
"""Of so many collections one is of everything."""


class InLine(AioSqliteConfiguration):
    """SQLite whose transactions take the lock when they begin, and wait for it there, up to Prefect's 60 s.

    What begins meanwhile inside of one, a second session or a task, begins as outside: Prefect's way of
    beginning is a context variable, and whoever inherits it waits for the transaction that it is part of.
    """

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction that is refused at its beginning or never."""
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            await session.connection()  # begins it
            inherited = SQLITE_BEGIN_MODE.set(None)
            try:
                yield transaction
            finally:
                SQLITE_BEGIN_MODE.reset(inherited)


def keep_going() -> None:
    """Prepare a process for a server over SQLite, before its app is made; other databases need nothing."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if url.startswith("sqlite"):
        set_database_config(InLine(connection_url=url))
        collect_apart()


def collect_apart() -> None:
    """Collect garbage in a thread of its own, where a statement that waits holds up nobody."""
    gc.disable()
    gc.freeze()  # what the modules made stays; it need not be looked through again and again
    threading.Thread(target=_collect, daemon=True, name="garbage").start()


def _collect() -> None:
    for number in count(1):
        time.sleep(EVERY_S)
        gc.collect(1 if number % FULL_EVERY else 2)
