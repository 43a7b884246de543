"""One database, SQLite or PostgreSQL: transactions with a deadline, and errors with a name.

Work is a plain function of a connection; it runs whole inside one transaction.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Executable
from sqlalchemy.exc import SQLAlchemyError

from bridge.store.address import shown
from bridge.store.engines import PostgresqlEngine, SqliteEngine, TransactionEngine, Values
from bridge.store.failures import Trouble, UnstorableError, is_unstorable, reason_of

T = TypeVar("T")

WITHIN_S = 2.0
"""For one transaction. A caller on the line is waiting for some of them."""
CHECKPOINT_WITHIN_S = 10.0
"""For whoever reads an old state of the data (a report, a backup) to be done with it."""
CHECKPOINT_AGAIN_S = 0.1
MAX_WAITING = 500
"""Transactions in progress or waiting for a connection; further ones are refused at once."""


class Database:
    """Owns its connections and the tasks that use them; ``close`` ends both."""

    def __init__(self, url: URL, *, max_waiting: int = MAX_WAITING) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._max_waiting = max_waiting
        self._engine: TransactionEngine
        self._engine = SqliteEngine(url) if self.is_sqlite else PostgresqlEngine(url)
        self._file = _FileWatch(Path(url.database or "")) if self.is_sqlite else None
        self._running: set[asyncio.Task[Any]] = set()
        self._troubles = {kind: Trouble(kind, shown(url)) for kind in ("read", "write")}

    async def read(self, work: Callable[[Connection], T], *, within_s: float = WITHIN_S) -> T:
        """What ``work`` gives. Raises LedgerUnavailableError or UnstorableError."""
        return await self._bounded(self._engine.read(work), within_s, self._troubles["read"])

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,
        within_s: float = WITHIN_S,
    ) -> T:
        """The same, committed. Not ``durable`` survives this process but perhaps no power cut.

        After LedgerUnavailableError it may have been committed all the same, and it may be run
        twice: ``work`` must be such that doing it again changes nothing.
        """
        writing = self._engine.write(work, durable)
        return await self._bounded(writing, within_s, self._troubles["write"])

    async def execute(
        self, statement: Executable, values: Values | None = None, *, durable: bool = True
    ) -> int:
        """``write`` of one statement, and quicker: how many rows it touched."""
        writing = self._engine.execute(statement, values or {}, durable)
        return await self._bounded(writing, WITHIN_S, self._troubles["write"])

    async def checkpoint(self, within_s: float = CHECKPOINT_WITHIN_S) -> bool:
        """Nothing that was deleted stays behind in SQLite's log. Elsewhere it does nothing.

        False where somebody read an old state of the data all the time: what was deleted is then
        still in that log.
        """
        until = time.monotonic() + within_s
        while True:
            trying = self._engine.checkpoint()
            if await self._bounded(trying, WITHIN_S, self._troubles["write"]):
                return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(CHECKPOINT_AGAIN_S)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=WITHIN_S)
        await self._engine.close()

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
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise trouble.met("slow")
        result = _result(task, trouble)
        if self._file is not None:
            self._file.used()
        return result

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
