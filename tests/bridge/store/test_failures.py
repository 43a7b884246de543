"""A database that is gone, locked, full, read-only or slow, while calls are in progress."""

from __future__ import annotations

import asyncio
import sqlite3
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import Connection, NullPool, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from structlog.testing import capture_logs

from bridge.call.effects import Note
from bridge.call.usage import UsageMeter
from bridge.store.address import database_url
from bridge.store.database import Database
from bridge.store.failures import CALM_S, Trouble
from bridge.store.ledger import LedgerUnavailableError, SideEffect
from bridge.store.outbox import Outbox
from bridge.store.prices import read_prices
from bridge.store.reading import read_call
from bridge.store.recorder import CallRecorder, CallSummary
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store, open_store
from tests.bridge.store.conftest import ManualClock, Samples, create_database
from tests.bridge.store.proxy import proxied
from tests.postgres_server import PostgresServer

ANSWERED_WITHIN_S = 4.0


@dataclass(frozen=True)
class Faulty:
    """A store, and a way to break it for a while; ``reason`` is what it then says."""

    store: Store
    broken: Callable[[], AbstractAsyncContextManager[None]]
    reason: str


Fault: TypeAlias = Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[Faulty]]


async def execute(store: Store, *statements: str) -> None:
    """Outside our own transactions' settings, on whichever connection comes."""

    def run(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    await store.database.write(run)


# --- SQLite ---------------------------------------------------------------------------------


@asynccontextmanager
async def sqlite_gone(_request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Faulty]:
    path = folder / "calls.db"
    store = await open_store(f"sqlite:///{path}", clock=lambda: 0.0)

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        away = path.rename(folder / "away.db")
        yield
        path.unlink(missing_ok=True)
        away.rename(path)

    yield Faulty(store, broken, "gone")
    await store.close()


@asynccontextmanager
async def sqlite_locked(_request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Faulty]:
    path = folder / "calls.db"
    store = await open_store(f"sqlite:///{path}", clock=lambda: 0.0)

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()

    yield Faulty(store, broken, "locked")
    await store.close()


@asynccontextmanager
async def sqlite_full(_request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Faulty]:
    store = await open_store(f"sqlite:///{folder}/calls.db", clock=lambda: 0.0)

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        # The limit is the connection's own; there is one as long as nobody works side by side.
        await execute(store, "PRAGMA max_page_count = 1")
        await fill(store)
        yield
        await store.database.read(lambda c: c.execute(text("PRAGMA max_page_count = 1000000")))

    yield Faulty(store, broken, "full")
    await store.close()


async def fill(store: Store) -> None:
    """Use up the pages the file already has."""
    for number in range(1000):
        try:
            await execute(store, f"INSERT INTO facts VALUES ('{number}', '{'x' * 900}')")  # noqa: S608
        except LedgerUnavailableError:
            return


@asynccontextmanager
async def sqlite_read_only(_request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Faulty]:
    store = await open_store(f"sqlite:///{folder}/calls.db", clock=lambda: 0.0)

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        await execute(store, "PRAGMA query_only = ON")
        yield
        await store.database.read(lambda c: c.execute(text("PRAGMA query_only = OFF")))

    yield Faulty(store, broken, "read_only")
    await store.close()


# --- PostgreSQL -----------------------------------------------------------------------------


@asynccontextmanager
async def server_of(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, str]]:
    """A store on a database of its own, and a second way in."""
    url = await create_database(request.getfixturevalue("postgres"))
    store = await open_store(url, clock=lambda: 0.0)
    yield store, url
    await store.close()


@asynccontextmanager
async def somebody_else(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that is not ours."""
    engine = create_async_engine(database_url(url), poolclass=NullPool)
    async with engine.connect() as connection:
        yield connection


@asynccontextmanager
async def postgresql_gone(request: pytest.FixtureRequest, _folder: Path) -> AsyncIterator[Faulty]:
    server: PostgresServer = request.getfixturevalue("postgres")
    url = make_url(await create_database(server))
    async with proxied(server.port) as proxy:
        store = await open_store(str(url.set(port=proxy.port)), clock=lambda: 0.0)

        @asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            await proxy.stop()
            yield
            await proxy.start()

        yield Faulty(store, broken, "gone")
        await store.close()


@asynccontextmanager
async def postgresql_slow(request: pytest.FixtureRequest, _folder: Path) -> AsyncIterator[Faulty]:
    server: PostgresServer = request.getfixturevalue("postgres")
    url = make_url(await create_database(server))
    async with proxied(server.port) as proxy:
        store = await open_store(str(url.set(port=proxy.port)), clock=lambda: 0.0)

        @asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            proxy.hold()
            yield
            proxy.let_go()

        yield Faulty(store, broken, "slow")
        await store.close()


@asynccontextmanager
async def postgresql_locked(request: pytest.FixtureRequest, _folder: Path) -> AsyncIterator[Faulty]:
    async with server_of(request) as (store, url):

        @asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            async with somebody_else(url) as connection, connection.begin():
                await connection.execute(text("LOCK TABLE calls, hops, facts"))
                yield

        yield Faulty(store, broken, "slow")


@asynccontextmanager
async def postgresql_full(request: pytest.FixtureRequest, _folder: Path) -> AsyncIterator[Faulty]:
    """The server says that its disk is full; a real full disk would take the test's own as well."""
    async with server_of(request) as (store, _url):

        @asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            await execute(
                store,
                "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$",
                "CREATE TRIGGER full_d BEFORE INSERT ON decisions EXECUTE FUNCTION full()",
                "CREATE TRIGGER full_t BEFORE INSERT ON timeline EXECUTE FUNCTION full()",
            )
            yield
            await execute(store, "DROP FUNCTION full CASCADE")

        yield Faulty(store, broken, "full")


@asynccontextmanager
async def postgresql_read_only(
    request: pytest.FixtureRequest, _folder: Path
) -> AsyncIterator[Faulty]:
    async with server_of(request) as (store, url):
        name = make_url(url).database
        leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        leave += f"'{name}' AND pid <> pg_backend_pid()"

        async def become(read_only: str) -> None:
            """For everybody who connects from now on; and all have to connect anew."""
            server: PostgresServer = request.getfixturevalue("postgres")
            async with somebody_else(server.url()) as admin, admin.begin():
                statement = f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}"
                await admin.execute(text(statement))
            async with somebody_else(url) as visitor:
                await visitor.execute(text(leave))

        @asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            await become("on")
            yield
            await become("off")

        yield Faulty(store, broken, "read_only")


FAULTS: dict[str, Fault] = {
    "sqlite gone": sqlite_gone,
    "sqlite locked": sqlite_locked,
    "sqlite full": sqlite_full,
    "sqlite read-only": sqlite_read_only,
    "postgresql gone": postgresql_gone,
    "postgresql slow": postgresql_slow,
    "postgresql locked": postgresql_locked,
    "postgresql full": postgresql_full,
    "postgresql read-only": postgresql_read_only,
}


@pytest.fixture(params=FAULTS.values(), ids=list(FAULTS))
async def faulty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Faulty]:
    fault: Fault = request.param
    async with fault(request, tmp_path) as made:
        yield made


async def test_calls_go_on_the_reason_is_told_once_and_nothing_is_written_twice(
    faulty: Faulty, clock: ManualClock, samples: Samples
) -> None:
    ledger = SqlLedger(faulty.store, clock, str)
    recorder = CallRecorder(faulty.store, read_prices(), clock=clock)
    record = recorder.opened(await ledger.open_call(samples.opening()), now=0.0)
    decision = replace(samples.decision(), twiml="<Response/>" * 2000)
    record.note(1.0, Note("digit"))
    with capture_logs() as logs:
        async with faulty.broken():
            for _ in range(2):
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    with pytest.raises(LedgerUnavailableError) as refused:
                        await ledger.record_decision(decision, [SideEffect("sms", {})])
                assert refused.value.reason == faulty.reason
            record.note(2.0, Note("caller_said", {}, "are you still there? " * 200))
            with pytest.raises(LedgerUnavailableError):
                await recorder.flush()
            record.note(3.0, Note("digit"))
    record.closed(CallSummary("m", UsageMeter(), 1.0))
    assert await ledger.record_decision(decision, [SideEffect("sms", {})]) == decision
    await recorder.flush()
    call = await read_call(faulty.store, samples.call_sid())
    assert call is not None
    counts = {part: len(call[part]) for part in ("timeline", "decisions", "side_effects", "usage")}
    assert counts == {"timeline": 3, "decisions": 1, "side_effects": 1, "usage": 1}
    told = [line["reason"] for line in logs if line["event"] == "database_unavailable"]
    assert told == [faulty.reason]


async def test_a_lock_that_is_let_go_in_time_is_waited_for_without_stopping_the_loop(
    tmp_path: Path, clock: ManualClock, samples: Samples
) -> None:
    """SQLite that is only slow."""
    async with sqlite_locked(None, tmp_path) as slow:  # type: ignore[arg-type]
        ledger = SqlLedger(slow.store, clock, str)
        async with slow.broken():
            opening = asyncio.create_task(ledger.open_call(samples.opening()))
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert not opening.done()
        assert await opening == samples.opening()


async def test_when_too_many_are_waiting_the_next_is_refused_at_once(
    tmp_path: Path, clock: ManualClock, samples: Samples
) -> None:
    async with sqlite_locked(None, tmp_path) as slow:  # type: ignore[arg-type]
        small = Database(slow.store.database.url, max_waiting=3)
        ledger = SqlLedger(replace(slow.store, database=small), clock, str)
        async with slow.broken():
            waiting = [
                asyncio.create_task(ledger.open_call(samples.opening(number)))
                for number in range(3)
            ]
            await asyncio.sleep(0)
            with pytest.raises(LedgerUnavailableError) as refused:
                await ledger.opening(samples.call_sid())
            assert refused.value.reason == "overloaded"
        await asyncio.gather(*waiting)
        await small.close()


async def test_a_worker_waits_for_the_database_to_come_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with sqlite_gone(None, tmp_path) as gone:  # type: ignore[arg-type]
        outbox = Outbox(gone.store, clock)
        async with gone.broken():
            with pytest.raises(LedgerUnavailableError):
                await outbox.is_due()
        assert not await outbox.is_due()


def test_a_trouble_is_told_once_and_its_end_after_some_calm() -> None:
    now = 0.0
    trouble = Trouble("write", "sqlite:///calls.db", lambda: now)
    with capture_logs() as logs:
        for reason in ("locked", "locked", "full", "locked"):
            trouble.met(reason)
            trouble.passed()
        now += CALM_S
        trouble.passed()
        trouble.passed()
        trouble.met("locked")
    assert [(line["event"], line.get("reason") or line.get("reasons")) for line in logs] == [
        ("database_unavailable", "locked"),
        ("database_unavailable", "full"),
        ("database_back", ["locked", "full"]),
        ("database_unavailable", "locked"),
    ]


async def test_what_is_told_of_a_statement_that_fails_holds_none_of_its_values(
    store: Store,
) -> None:
    """The whole chain of it, as a log shows it."""
    statement = text("SELECT call_sid FROM no_such_table WHERE caller = :caller")
    private = {"caller": "Ada Smith"}

    with pytest.raises(LedgerUnavailableError) as failed:
        await store.database.read(lambda c: c.execute(statement, private).all())
    with pytest.raises(LedgerUnavailableError) as failed_alone:
        await store.database.execute(statement, private)
    for error in (failed.value, failed_alone.value):
        told = "".join(traceback.format_exception(error))
        assert ("no_such_table" in told, "Ada Smith" in told) == (True, False)
