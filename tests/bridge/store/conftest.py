"""Ledgers to test: whatever implements the contract joins ``MAKERS`` and passes the same tests."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest
from sqlalchemy import Connection, NullPool, delete
from sqlalchemy.ext.asyncio import create_async_engine

from bridge.store.address import database_url
from bridge.store.ledger import CallOpening, Ledger, StoredDecision
from bridge.store.memory import MemoryLedger
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import NUMBER_KEY, Store, open_store
from bridge.store.stores import Stores, TenantLedgers
from bridge.store.tables import data_keys, facts, metadata
from tests import postgres_server
from tests.postgres_server import PostgresMissingError, PostgresServer

T = TypeVar("T")
ACCOUNT = "AC" + "0" * 32
START = 1_000_000.0


class ManualClock:
    """Unix seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


# --- databases --------------------------------------------------------------------------------

DATABASES = ("sqlite", "postgresql")
StoreMaker: TypeAlias = Callable[[ManualClock], AbstractAsyncContextManager[Store]]
FreshUrl: TypeAlias = Callable[[], Awaitable[str]]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The server that all workers of this run share."""
    here = tmp_path_factory.getbasetemp()
    meeting_point = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    try:
        with postgres_server.shared(meeting_point) as server:
            yield server
    except PostgresMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def worker_database(postgres: PostgresServer) -> str:
    """This worker's own database on it: its address."""
    return run_apart(create_database(postgres))


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """In a loop and a thread of its own: who asks may have a loop running already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def create_database(server: PostgresServer) -> str:
    """A new and empty one: its address."""
    name = f"triage_{uuid.uuid4().hex}"
    engine = create_async_engine(
        database_url(server.url()), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"

    async def make() -> None:
        await (await open_store(f"sqlite:///{path}", clock=lambda: START)).close()

    run_apart(make())
    return path


@pytest.fixture(params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def fresh_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> FreshUrl:
    """Gives the address of a database that never was used, nor migrated."""
    server: PostgresServer | None = None
    if database_kind == "postgresql":
        server = request.getfixturevalue("postgres")

    async def make() -> str:
        if server is not None:
            return await create_database(server)
        return f"sqlite:///{tmp_path / uuid.uuid4().hex}.db"

    return make


@pytest.fixture
def make_store(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> StoreMaker:
    """Opens a store without calls; to be used one at a time."""
    return store_maker(database_kind, request, tmp_path)


@pytest.fixture
async def store(make_store: StoreMaker, clock: ManualClock) -> AsyncIterator[Store]:
    async with make_store(clock) as made:
        yield made


def store_maker(kind: str, request: pytest.FixtureRequest, folder: Path) -> StoreMaker:
    if kind == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")

        def address() -> str:
            copy = folder / f"{uuid.uuid4().hex}.db"
            shutil.copy(template, copy)
            return f"sqlite:///{copy}"
    else:
        database: str = request.getfixturevalue("worker_database")

        def address() -> str:
            return database

    @asynccontextmanager
    async def make(clock: ManualClock) -> AsyncIterator[Store]:
        store = await open_store(address(), clock=clock)
        try:
            if kind == "postgresql":
                await store.database.write(empty)
            yield store
        finally:
            await store.close()

    return make


def empty(connection: Connection) -> None:
    """No rows but what the database knows of itself."""
    for table in reversed(metadata.sorted_tables):
        if table not in (facts, data_keys):
            connection.execute(delete(table))
    connection.execute(delete(facts).where(facts.c.name != NUMBER_KEY))


# --- ledgers ----------------------------------------------------------------------------------

LedgerMaker: TypeAlias = Callable[[ManualClock], AbstractAsyncContextManager[Ledger]]
MAKERS = ("memory", *DATABASES)
LEDGERS = (*MAKERS, "two databases")


def counted_tokens() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"token-{next(numbers)}"


@asynccontextmanager
async def memory_ledger(clock: ManualClock) -> AsyncIterator[Ledger]:
    yield MemoryLedger(clock, counted_tokens())


def two_databases(make_store: StoreMaker) -> LedgerMaker:
    """A ledger over two stores, where tenant ``default`` lives in the second one."""

    @asynccontextmanager
    async def make(clock: ManualClock) -> AsyncIterator[Ledger]:
        async with make_store(clock) as first, make_store(clock) as second:
            yield TenantLedgers(Stores(first, {"default": second}), clock, counted_tokens())

    return make


@pytest.fixture(params=LEDGERS)
def make_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerMaker:
    if request.param == "memory":
        return memory_ledger
    if request.param == "two databases":
        return two_databases(store_maker("sqlite", request, tmp_path))
    make_store = store_maker(request.param, request, tmp_path)

    @asynccontextmanager
    async def make(clock: ManualClock) -> AsyncIterator[Ledger]:
        async with make_store(clock) as store:
            yield SqlLedger(store, clock, counted_tokens())

    return make


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ledger(make_ledger: LedgerMaker, clock: ManualClock) -> AsyncIterator[Ledger]:
    async with make_ledger(clock) as made:
        yield made


class Samples:
    """Made-up calls and decisions; ``number`` tells them apart."""

    account = ACCOUNT

    def call_sid(self, number: int = 1) -> str:
        return f"CA{number:032x}"

    def opening(self, number: int = 1, **changes: object) -> CallOpening:
        fields: dict[str, object] = {
            "call_sid": self.call_sid(number),
            "account_sid": ACCOUNT,
            "tenant": "default",
            "from_number": "+15550100001",
            "to_number": "+15550100002",
            "entry": "number",
            "started_at": START,
            "parameters": {"flex_skill": "en"},
        }
        return CallOpening(**(fields | changes))  # type: ignore[arg-type]

    def decision(self, number: int = 1, hop: int = 0, route: str = "flex") -> StoredDecision:
        return StoredDecision(
            call_sid=self.call_sid(number),
            hop=hop,
            route=route,
            intent="billing",
            reason="model",
            twiml=f"<Response><!-- {route} --></Response>",
            decided_at=START,
            decision={"route": route},
            envelope={"intent": "billing"},
        )


@pytest.fixture
def samples() -> Samples:
    return Samples()
