"""A database made ready to use: reached, migrated, its keys checked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection, insert, select, update

from bridge.errors import ConfigurationError
from bridge.store.address import database_url, shown
from bridge.store.cipher import DataCipher, NumberHash, UnreadableDataError
from bridge.store.database import Database
from bridge.store.ledger import LedgerUnavailableError
from bridge.store.migrate import migrate
from bridge.store.settings import DATABASE_URL
from bridge.store.tables import data_keys, facts

OPENED_WITHIN_S = 30.0
"""Another process may be migrating."""
OPENING_TRIES = 5
BETWEEN_TRIES_S = 0.2
NUMBER_KEY = "number_key"
_PROOF = "readable"


@dataclass(frozen=True, slots=True)
class Store:
    """What everything in this package works on."""

    database: Database
    cipher: DataCipher
    number_hash: NumberHash

    async def close(self) -> None:
        await self.database.close()


async def open_store(
    url: str,
    keys: Sequence[SecretStr] = (),
    *,
    clock: Callable[[], float],
    adopt_keys: bool = True,
    variable: str = DATABASE_URL,
) -> Store:
    """Reach the database at ``url``, bring its tables up to date and check that ``keys`` read it.

    ``clock`` gives Unix seconds. ``adopt_keys``: from now on the database holds what the first key
    writes, and is not opened without it; for those who write. Raises ConfigurationError, which
    names what is wrong, and ``variable``, where ``url`` is from.
    """
    try:
        address = database_url(url)
    except ValueError as expected:
        raise ConfigurationError([f"{variable} is not an address: expected {expected}"]) from None
    cipher = DataCipher(keys)
    database = Database(address)
    try:
        if database.is_sqlite:
            _make_file(Path(address.database or ""))
        number_key = await _prepared(database, cipher, clock, adopt_keys)
    except LedgerUnavailableError as error:
        await database.close()
        fault = f"{variable} {shown(address)} cannot be used: {_explained(error)}"
        raise ConfigurationError([fault]) from error
    except ConfigurationError as error:
        await database.close()
        faults = [f"{variable} {shown(address)}: {fault}" for fault in error.faults]
        raise ConfigurationError(faults) from error
    except BaseException:
        await database.close()
        raise
    return Store(database, cipher, NumberHash(number_key))


async def _prepared(
    database: Database, cipher: DataCipher, clock: Callable[[], float], adopt_keys: bool
) -> bytes:
    """Gives the key of number look-ups.

    Tried again while the database is locked: another process may be migrating it, and SQLite does
    not wait by itself for the one that turns a new file's log on.
    """
    tries = 1
    while True:
        try:
            return await database.write(
                lambda connection: _prepare(connection, cipher, clock(), adopt_keys),
                within_s=OPENED_WITHIN_S,
            )
        except LedgerUnavailableError as error:
            if error.reason != "locked" or tries == OPENING_TRIES:
                raise
        tries += 1
        await asyncio.sleep(BETWEEN_TRIES_S)


def _make_file(file: Path) -> None:
    """For its owner alone; what SQLite puts beside it gets the same permissions."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fault = f"the folder {file.parent} cannot be made: {error.strerror}"
        raise ConfigurationError([fault]) from None
    with contextlib.suppress(OSError):  # SQLite says better what is wrong
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _explained(error: LedgerUnavailableError) -> str:
    """The driver's own first line says more than our word for it."""
    cause = error.__cause__
    detail = str(getattr(cause, "orig", None) or cause or "").splitlines()
    return f"{error.reason}: {detail[0][:200]}" if detail and detail[0] else error.reason


def _prepare(connection: Connection, cipher: DataCipher, now: float, adopt_keys: bool) -> bytes:
    migrate(connection)
    known = _check_keys(connection, cipher)
    if adopt_keys:
        _adopt_key(connection, cipher, now, known)
    return _number_key(connection, cipher, adopt_keys)


def _check_keys(connection: Connection, cipher: DataCipher) -> set[str]:
    """Fingerprints of the keys that write or wrote. Raises where one of them is not held."""
    known = connection.execute(select(data_keys)).all()
    lost = []
    for row in known:
        try:
            cipher.decrypt(row.proof)
        except UnreadableDataError:
            lost.append(row.fingerprint)
    if lost:
        faults = [f"DATA_KEYS lacks the key {name}, which encrypted stored data" for name in lost]
        raise ConfigurationError(faults)
    return {row.fingerprint for row in known}


def _adopt_key(connection: Connection, cipher: DataCipher, now: float, known: set[str]) -> None:
    writing = cipher.writes_with
    if writing is not None and writing not in known:
        proof = cipher.encrypt(_PROOF)
        connection.execute(
            insert(data_keys).values(fingerprint=writing, first_used_at=now, proof=proof)
        )


def _number_key(connection: Connection, cipher: DataCipher, adopt_keys: bool) -> bytes:
    """Stays the same for the database's life; only its encryption follows the rotation of keys."""
    writing = cipher if adopt_keys else DataCipher(())
    stored = connection.scalar(select(facts.c.value).where(facts.c.name == NUMBER_KEY))
    if stored is None:
        key = secrets.token_hex(32)
        connection.execute(insert(facts).values(name=NUMBER_KEY, value=writing.encrypt(key)))
        return bytes.fromhex(key)
    key = cipher.decrypt(stored)
    if adopt_keys and not cipher.is_current(stored):
        renewed = cipher.encrypt(key)
        connection.execute(update(facts).where(facts.c.name == NUMBER_KEY).values(value=renewed))
    return bytes.fromhex(key)
