"""One database, SQLite or PostgreSQL: transactions with a deadline, and errors with a name.

Work is a plain function of a connection; it runs whole inside one transaction. SQLite writers of
one process take turns, so that none of them sleeps in SQLite's own lock.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bridge.store.address import shown
from bridge.store.failures import Trouble, UnstorableError, is_unstorable, reason_of

T = TypeVar("T")

WITHIN_S = 2.0
"""For one transaction. A caller on the line is waiting for some of them."""
SQLITE_BUSY_S = 1.5
"""How long SQLite waits for another process; below ``WITHIN_S``, to say that it was locked."""
CONNECT_WITHIN_S = 2.0
POOL_SIZE = 5
POOL_OVERFLOW = 5
CHECKPOINT_WITHIN_S = 30.0
MAX_WAITING = 500
"""Transactions in progress or waiting for a connection; further ones are refused at once."""


class Database:
    """Owns its connections and the tasks that use them; ``close`` ends both."""

    def __init__(
        self, url: URL, *, pool_size: int = POOL_SIZE, max_waiting: int = MAX_WAITING
    ) -> None:
        self.url = url
        self._max_waiting = max_waiting
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url, pool_size)
        self._file = _FileWatch(Path(url.database or "")) if self.is_sqlite else None
        self._writers = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._troubles = {kind: Trouble(kind, shown(url)) for kind in ("read", "write")}

    async def read(self, work: Callable[[Connection], T], *, within_s: float = WITHIN_S) -> T:
        """What ``work`` gives. Raises LedgerUnavailableError or UnstorableError."""
        return await self._bounded(self._read(work), within_s, self._troubles["read"])

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,
        within_s: float = WITHIN_S,
    ) -> T:
        """The same, committed. Not ``durable`` survives this process but perhaps no power cut.

        After LedgerUnavailableError it may have been committed all the same: ``work`` must be such
        that doing it again changes nothing.
        """
        return await self._bounded(self._write(work, durable), within_s, self._troubles["write"])

    async def checkpoint(self) -> None:
        """Nothing that was deleted stays behind in SQLite's log. Elsewhere it does nothing."""
        if self.is_sqlite:
            await self._bounded(self._checkpoint(), CHECKPOINT_WITHIN_S, self._troubles["write"])

    async def close(self) -> None:
        for task in self._running:
            self._abandon(task)
        if self._running:
            await asyncio.wait(self._running, timeout=WITHIN_S)
        await self._engine.dispose()

    # --- one transaction -----------------------------------------------------------------------

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def _write(self, work: Callable[[Connection], T], durable: bool) -> T:
        turn: AbstractAsyncContextManager[None] = self._writers if self.is_sqlite else nullcontext()
        async with turn, self._engine.connect() as connection:
            return await connection.run_sync(_committed, work, durable)

    async def _checkpoint(self) -> None:
        def truncate(connection: Connection) -> None:
            outside = connection.execution_options(sqlite_begin=None)
            outside.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()

        async with self._writers, self._engine.connect() as connection:
            await connection.run_sync(truncate)

    async def _bounded(self, work: Coroutine[Any, Any, T], within_s: float, trouble: Trouble) -> T:
        """A task of its own: a database that hangs keeps the task, never the one who asked."""
        if len(self._running) >= self._max_waiting:
            work.close()
            raise trouble.met("overloaded")
        if self._file is not None and self._file.is_gone():
            work.close()
            raise trouble.met("gone")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        try:
            done, _ = await asyncio.wait({task}, timeout=within_s)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise trouble.met("slow")
        result = _result(task, trouble)
        if self._file is not None:
            self._file.used()
        return result

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Nobody waits for it any more. SQLite's thread cannot be interrupted: it ends by itself,
        and its connection stays sound. PostgreSQL's connection is given up.
        """
        if not self.is_sqlite:
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # read by whoever waited; when nobody does any more, it is dropped


class _FileWatch:
    """A SQLite file that was deleted or replaced takes writes without a word, for nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None

    def used(self) -> None:
        """It was read or written: this is the one."""
        if self._known is None:
            self._known = self._identity()

    def is_gone(self) -> bool:
        return self._known is not None and self._identity() != self._known

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return (stat.st_dev, stat.st_ino)


def _result(task: asyncio.Task[T], trouble: Trouble) -> T:
    """What the work gave, or why not: our own mistakes stay what they are."""
    try:
        result = task.result()
    except Exception as error:
        driver = isinstance(error, SQLAlchemyError) or type(error).__module__.startswith("asyncpg")
        if isinstance(error, OverflowError) or (driver and is_unstorable(error)):
            raise UnstorableError(type(error).__name__) from error
        if driver or isinstance(error, OSError | EOFError):
            raise trouble.met(reason_of(error)) from error
        raise
    trouble.passed()
    return result


def _committed(connection: Connection, work: Callable[[Connection], T], durable: bool) -> T:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        connection = connection.execution_options(
            sqlite_begin="BEGIN IMMEDIATE", sqlite_synchronous="FULL" if durable else "NORMAL"
        )
    with connection.begin():
        if not sqlite and not durable:
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
        return work(connection)


def _postgresql_engine(url: URL, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=WITHIN_S,
        pool_pre_ping=True,  # a restarted server costs no call its ledger
        connect_args={"timeout": CONNECT_WITHIN_S},
    )


def _sqlite_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,  # each is a thread
        pool_timeout=WITHIN_S,
        connect_args={"timeout": SQLITE_BUSY_S},
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's
    # Transactions are begun by us: the driver would begin them late, and then fail to upgrade.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    wanted = cast("str", options.get("sqlite_synchronous", "NORMAL"))
    if connection.info.get("synchronous") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
        connection.info["synchronous"] = wanted
    begin = cast("str | None", options.get("sqlite_begin", "BEGIN"))
    if begin is not None:
        connection.exec_driver_sql(begin)
