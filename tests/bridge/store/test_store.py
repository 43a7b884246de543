"""Opening a database: migrated, or refused with the reason."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection, select, text

import bridge.store.migrate as migration
from bridge.errors import ConfigurationError
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import NUMBER_KEY, Store, open_store
from bridge.store.tables import facts, metadata
from tests.bridge.store.conftest import START, FreshUrl, ManualClock, Samples

OLD, NEW = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))


async def opened(url: str, *keys: SecretStr) -> Store:
    return await open_store(url, keys, clock=lambda: START)


async def write(store: Store, statement: str) -> None:
    await store.database.write(lambda connection: connection.execute(text(statement)))


async def test_an_empty_database_gets_exactly_the_tables_of_this_version(
    fresh_url: FreshUrl,
) -> None:
    store = await opened(await fresh_url())

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await store.database.read(differences) == []
    assert await store.database.read(migration.stored_revision) == migration.HEAD
    await store.close()


def test_the_stated_head_is_the_newest_revision() -> None:
    folder = Path(migration.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [migration.HEAD]


async def test_several_that_open_an_empty_database_at_once_migrate_it_once(
    fresh_url: FreshUrl,
) -> None:
    url = await fresh_url()
    stores = await asyncio.gather(*(opened(url) for _ in range(4)))
    keys = [
        await store.database.read(
            lambda c: c.scalar(select(facts.c.value).where(facts.c.name == NUMBER_KEY))
        )
        for store in stores
    ]
    for store in stores:
        await store.close()
    assert len(set(keys)) == 1


@pytest.mark.parametrize("revision", ["9999", "ae1027a6acf"])
async def test_a_database_of_a_newer_version_or_another_program_is_refused_and_left_alone(
    revision: str, fresh_url: FreshUrl
) -> None:
    url = await fresh_url()
    store = await opened(url)
    await write(store, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608
    await store.close()
    expected = (
        f"at revision '{revision}', which this version of triage-bridge .* does not know:"
        " made by a newer version, or by another program$"
    )
    with pytest.raises(ConfigurationError, match=expected):
        await opened(url)


async def test_a_database_with_somebody_elses_calls_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/theirs.db"
    store = await opened(url)
    await write(store, "DROP TABLE alembic_version")
    await store.close()
    with pytest.raises(ConfigurationError, match="'calls' that triage-bridge did not make"):
        await opened(url)


async def test_a_sqlite_file_is_made_with_its_folder_and_for_its_owner_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "not" / "yet" / "calls.db"
    store = await opened(f"sqlite:///{path}")
    made = {entry.name: oct(entry.stat().st_mode)[-3:] for entry in os.scandir(path.parent)}
    await store.close()
    assert made == {"calls.db": "600", "calls.db-wal": "600", "calls.db-shm": "600"}


@pytest.mark.parametrize(
    ("make_url", "why"),
    [
        (lambda folder: "mysql://h/d", "DATABASE_URL is not an address.*it begins with 'mysql'"),
        (lambda folder: f"sqlite:///{folder}", "cannot_open"),
        (lambda folder: f"sqlite:///{folder / 'a-file' / 'x.db'}", "the folder .* cannot be made"),
        (lambda folder: f"sqlite:///{folder / 'a-file'}", "not_a_database"),
        (lambda folder: "postgresql://u:hunter2@127.0.0.1:1/d", r"u:\*\*\*@127.0.0.1:1/d .* gone"),
        (lambda folder: "postgresql://u@no-such-host.invalid/d", "no_such_host"),
    ],
    ids=["unknown kind", "a folder", "below a file", "another file", "nobody there", "no host"],
)
async def test_a_database_that_cannot_be_used_is_named_with_the_reason(
    make_url: Callable[[Path], str], why: str, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("this is not a database, only a long enough text" * 10)
    with pytest.raises(ConfigurationError, match=why) as refused:
        await opened(make_url(tmp_path))
    assert "hunter2" not in str(refused.value)


async def test_a_database_that_is_not_there_on_a_server_that_is(
    database_kind: str, request: pytest.FixtureRequest
) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite makes its file")
    server = request.getfixturevalue("postgres")
    with pytest.raises(ConfigurationError, match="no_such_database"):
        await opened(server.url("nothing_here"))


# --- keys -----------------------------------------------------------------------------------


async def test_with_a_key_nothing_private_stands_in_the_file(
    tmp_path: Path, samples: Samples, clock: ManualClock
) -> None:
    path = tmp_path / "calls.db"
    store = await opened(f"sqlite:///{path}", NEW)
    ledger = SqlLedger(store, clock, lambda: "token")
    await ledger.open_call(samples.opening(parameters={"ivr_name": "Ada Lovelace"}))
    await ledger.record_decision(samples.decision())
    await store.close()
    stored = path.read_bytes()
    assert b"AC000" in stored  # what is not private is there to be found
    for private in (b"5550100001", b"Ada Lovelace", b"<Response>", b'"intent"'):
        assert private not in stored


async def test_after_a_rotation_old_and_new_calls_are_read(
    fresh_url: FreshUrl, samples: Samples, clock: ManualClock
) -> None:
    url = await fresh_url()
    for number, keys in enumerate([(), (OLD,), (NEW, OLD)], 1):
        store = await opened(url, *keys)
        await SqlLedger(store, clock, str).open_call(samples.opening(number))
        await store.close()
    store = await opened(url, NEW, OLD)
    ledger = SqlLedger(store, clock, str)
    read = [await ledger.opening(samples.call_sid(number)) for number in (1, 2, 3)]
    await store.close()
    assert read == [samples.opening(number) for number in (1, 2, 3)]


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["no key", "another key"])
async def test_keys_that_cannot_read_what_is_stored_are_named_at_start_up(
    keys: tuple[SecretStr, ...], fresh_url: FreshUrl
) -> None:
    url = await fresh_url()
    await (await opened(url, OLD)).close()
    with pytest.raises(ConfigurationError, match=r"DATA_KEYS lacks the key [0-9a-f]{12}"):
        await opened(url, *keys)


async def test_numbers_are_found_across_rotations(fresh_url: FreshUrl) -> None:
    url = await fresh_url()
    hashes = set()
    for keys in [(), (OLD,), (NEW, OLD)]:
        store = await opened(url, *keys)
        hashes.add(store.number_hash("+15550100001"))
        await store.close()
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("serving", "looking"), [((), (NEW,)), ((OLD,), (NEW, OLD))], ids=["none yet", "a newer one"]
)
async def test_whoever_only_looks_does_not_bind_a_database_to_keys_of_their_own(
    serving: tuple[SecretStr, ...],
    looking: tuple[SecretStr, ...],
    fresh_url: FreshUrl,
) -> None:
    url = await fresh_url()
    first = await opened(url, *serving)
    looked = await open_store(url, looking, clock=lambda: START, adopt_keys=False)
    again = await opened(url, *serving)
    numbers = {store.number_hash("+15550100001") for store in (first, looked, again)}
    for store in (first, looked, again):
        await store.close()
    assert len(numbers) == 1


async def test_a_database_made_by_one_who_only_looks_is_encrypted_by_those_who_write(
    fresh_url: FreshUrl,
) -> None:
    url = await fresh_url()
    await (await open_store(url, (NEW,), clock=lambda: START, adopt_keys=False)).close()
    await (await opened(url, OLD)).close()
    with pytest.raises(ConfigurationError, match="DATA_KEYS lacks the key"):
        await opened(url, NEW)
