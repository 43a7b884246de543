"""How a transaction runs on each kind of database.

On SQLite it runs whole in a thread. An asyncio driver hands every single statement to its thread
and back, four times for a query: reading a decision that way took twice the CPU of the process
that carries the audio. One thread writes, so that writers of one process never sleep in
SQLite's lock, and a write nobody waits for any more is not begun.

On PostgreSQL the network is asynchronous by nature, and asyncpg does it in the event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, Executable, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")
Values: TypeAlias = Mapping[str, object]

SQLITE_BUSY_S = 1.5
"""How long SQLite waits for another process; below a transaction's deadline, to say "locked"."""
EMPTYING_BUSY_MS = 50
SQLITE_READERS = 4
LOG_BYTES = 4 * 2**20
"""A write-ahead log of this size is copied into the file, by a thread of its own: done by whoever
commits, it would hold up the next decision."""
LOG_PAGES_AT_MOST = 16_000
"""At 64 MB whoever commits does it all the same."""
CONNECT_WITHIN_S = 2.0
POOL_SIZE = 5
"""Connections for what has to be on the disk, and as many for the rest. Whoever finds them all in
use waits for one: a new one would take longer than most transactions do."""
POOL_WITHIN_S = 2.0
# An error's text ends up in a log: ``hide_parameters`` keeps the values of its statement out of it.


_ALONE = {"isolation_level": "AUTOCOMMIT"}
"""Each statement by itself, without the round trips that begin and end a transaction."""


class TransactionEngine(Protocol):
    """Cancelled, a transaction either has not begun, or ends by itself and is forgotten."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` gives."""
        ...

    async def write(self, work: Callable[[Connection], T], durable: bool) -> T:
        """The same, committed; ``durable``: on the disk."""
        ...

    async def execute(self, statement: Executable, values: Values, durable: bool) -> int:
        """One statement that is a transaction of its own: how many rows it touched."""
        ...

    async def checkpoint(self) -> bool:
        """Leave nothing that was deleted in a log beside the data. False: somebody still reads it.

        Tries once, and holds nobody up for long.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class SqliteEngine:
    """Threads of its own: one that writes, a few that read."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(
            url,
            pool_size=SQLITE_READERS + 2,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"timeout": SQLITE_BUSY_S},
        )
        event.listen(self._engine, "connect", _prepare_sqlite)
        event.listen(self._engine, "begin", _begin_sqlite)
        self._log = f"{url.database}-wal"
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(SQLITE_READERS, "sqlite-reader")
        self._copier = ThreadPoolExecutor(1, "sqlite-copier")
        self._copying: Future[None] | None = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await _in_thread(self._readers, _read, self._engine, work)

    async def write(self, work: Callable[[Connection], T], durable: bool) -> T:
        result: T = await _in_thread(self._writer, _write, self._engine, work, durable)
        if _size(self._log) > LOG_BYTES and (self._copying is None or self._copying.done()):
            self._copying = self._copier.submit(_copy_log, self._engine)
        return result

    async def execute(self, statement: Executable, values: Values, durable: bool) -> int:
        return await self.write(lambda c: c.execute(statement, values).rowcount, durable)

    async def checkpoint(self) -> bool:
        return await _in_thread(self._writer, _empty_log, self._engine)

    async def close(self) -> None:
        every = (self._writer, self._readers, self._copier)
        for threads in every:
            threads.shutdown(wait=False, cancel_futures=True)
        for threads in every:
            await asyncio.to_thread(threads.shutdown)
        self._engine.dispose()


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
    return await asyncio.wrap_future(threads.submit(work, *arguments))


def _read(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.connect() as connection:
        return work(connection)


def _write(engine: Engine, work: Callable[[Connection], T], durable: bool) -> T:
    synchronous = "FULL" if durable else "NORMAL"
    with engine.connect() as plain:
        connection = plain.execution_options(
            sqlite_begin="BEGIN IMMEDIATE", sqlite_synchronous=synchronous
        )
        with connection.begin():
            return work(connection)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _copy_log(engine: Engine) -> None:
    with engine.connect() as plain:
        outside = plain.execution_options(sqlite_begin=None)
        outside.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").close()


def _empty_log(engine: Engine) -> bool:
    # While it waits for readers nobody can write: not for as long as others wait for a lock.
    with engine.connect() as plain:
        outside = plain.execution_options(sqlite_begin=None)
        outside.exec_driver_sql(f"PRAGMA busy_timeout = {EMPTYING_BUSY_MS}").close()
        try:
            busy, _, _ = outside.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        finally:
            outside.exec_driver_sql(f"PRAGMA busy_timeout = {round(SQLITE_BUSY_S * 1000)}").close()
        return not busy


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's
    # Transactions are begun by us: the driver would begin them late, and then fail to upgrade.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES_AT_MOST}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    wanted = options.get("sqlite_synchronous", "NORMAL")
    if connection.info.get("synchronous") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
        connection.info["synchronous"] = wanted
    begin = cast("str | None", options.get("sqlite_begin", "BEGIN"))
    if begin is not None:
        connection.exec_driver_sql(begin)


class PostgresqlEngine:
    """A pool of connections in the event loop.

    A connection that turns out to be dead was so before it was used, as after a restart of the
    server: then a fresh one gets a second try. Asking each time first would cost every call more.
    """

    def __init__(self, url: URL) -> None:
        self._durable = _postgresql_engine(url)
        # Connections of their own: switching one over would be a round trip in each transaction.
        self._quick = _postgresql_engine(url, synchronous_commit="off")
        # Made once: making one registers listeners for good.
        self._durable_alone = self._durable.execution_options(**_ALONE)
        self._quick_alone = self._quick.execution_options(**_ALONE)

    async def read(self, work: Callable[[Connection], T]) -> T:
        async def attempt() -> T:
            async with self._quick_alone.connect() as connection:
                return await connection.run_sync(work)

        return await _again_on_a_fresh_connection(attempt)

    async def write(self, work: Callable[[Connection], T], durable: bool) -> T:
        engine = self._durable if durable else self._quick

        async def attempt() -> T:
            async with engine.begin() as connection:
                return await connection.run_sync(work)

        return await _again_on_a_fresh_connection(attempt)

    async def execute(self, statement: Executable, values: Values, durable: bool) -> int:
        engine = self._durable_alone if durable else self._quick_alone

        async def attempt() -> int:
            async with engine.connect() as connection:
                return (await connection.execute(statement, values)).rowcount

        return await _again_on_a_fresh_connection(attempt)

    async def checkpoint(self) -> bool:
        """PostgreSQL sees to its log by itself."""
        return True

    async def close(self) -> None:
        await self._durable.dispose()
        await self._quick.dispose()


def _postgresql_engine(url: URL, **server_settings: str) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WITHIN_S,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={"timeout": CONNECT_WITHIN_S, "server_settings": server_settings},
    )


async def _again_on_a_fresh_connection(attempt: Callable[[], Awaitable[T]]) -> T:
    try:
        return await attempt()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    return await attempt()
