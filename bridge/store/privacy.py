"""Deleting: what is past its retention, what one caller wants forgotten, keys nothing needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import ColumnElement, Connection, delete, func, select

from bridge.store.chores import again_and_again, claim, done
from bridge.store.cipher import ENCRYPTED, DataCipher
from bridge.store.database import CHECKPOINT_WITHIN_S
from bridge.store.ledger import LedgerUnavailableError
from bridge.store.reading import READ_WITHIN_S
from bridge.store.store import Store
from bridge.store.tables import (
    calls,
    data_keys,
    decisions,
    facts,
    hops,
    outbox,
    reports,
    timeline,
    tokens,
)

log = structlog.get_logger("bridge.store")

DAY_S = 86_400
BATCH = 200
"""Calls deleted in one transaction: others get to write in between."""
TOKENS_KEPT_S = DAY_S
LONGEST_CALL_S = 5 * 3600
"""Twilio ends a call after four hours; older ones without an end are over all the same."""
PURGED_AT = "purged_at"
LOOK_EVERY_S = 900.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of a caller's calls."""

    deleted: int
    in_progress: int
    """Left alone, since they are still going on: forget again when they are over."""
    log_emptied: bool = True
    """Else what was deleted can still be read in SQLite's log: somebody reads an old state."""


@dataclass(frozen=True, slots=True)
class Purged:
    """Calls deleted, and fingerprints of the keys that nothing is left of."""

    deleted: int
    unneeded_keys: tuple[str, ...]
    log_emptied: bool = True
    """As for ``Forgotten``."""


async def purge(
    store: Store,
    retention_days_of: Callable[[str], int],
    now: float,
    *,
    empty_within_s: float = CHECKPOINT_WITHIN_S,
) -> Purged:
    """Delete the calls that are past their tenant's retention."""
    database = store.database
    tenants = await database.read(
        lambda c: list(c.scalars(select(calls.c.tenant).distinct())), within_s=READ_WITHIN_S
    )
    deleted = 0
    for tenant in tenants:
        due = calls.c.started_at < now - retention_days_of(tenant) * DAY_S
        deleted += await _delete_calls(store, (calls.c.tenant == tenant) & due)
    await database.write(
        lambda c: c.execute(delete(tokens).where(tokens.c.expires_at < now - TOKENS_KEPT_S)),
        within_s=READ_WITHIN_S,
    )
    unneeded = await database.write(
        lambda c: _drop_unneeded_keys(c, store.cipher, now), within_s=READ_WITHIN_S
    )
    return Purged(deleted, unneeded, await _log_emptied(store, empty_within_s))


async def forget(
    store: Store, number: str, now: float, *, empty_within_s: float = CHECKPOINT_WITHIN_S
) -> Forgotten:
    """Delete every call from this number that is over, with all that belongs to it."""
    from_number = calls.c.caller_hash == store.number_hash(number)
    live = calls.c.ended_at.is_(None) & (calls.c.started_at > now - LONGEST_CALL_S)
    deleted = await _delete_calls(store, from_number & ~live)
    count = select(func.count()).select_from(calls).where(from_number)
    left = await store.database.read(lambda connection: connection.scalar(count))
    return Forgotten(deleted, left or 0, await _log_emptied(store, empty_within_s))


async def _log_emptied(store: Store, within_s: float) -> bool:
    try:
        return await store.database.checkpoint(within_s)
    except LedgerUnavailableError:
        return False  # what was deleted is, all the same


class DailyPurge:
    """``run`` purges once a day, by one of however many processes. ``clock`` gives Unix seconds."""

    def __init__(
        self,
        store: Store,
        retention_days_of: Callable[[str], int],
        clock: Callable[[], float],
        *,
        empty_within_s: float = CHECKPOINT_WITHIN_S,
    ) -> None:
        self._empty_within_s = empty_within_s
        self._store = store
        self._retention_days_of = retention_days_of
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        await again_and_again(self.purge_if_due, LOOK_EVERY_S, stop)

    async def purge_if_due(self) -> int | None:
        """How many calls were deleted; None if it is too early, or another process is at it.

        What fails on the way, or leaves something behind, is tried again at the next look.
        """
        now = self._clock()
        database = self._store.database
        due = await database.write(lambda c: claim(c, PURGED_AT, now, DAY_S, LOOK_EVERY_S))
        if not due:
            return None
        purged = await purge(
            self._store, self._retention_days_of, now, empty_within_s=self._empty_within_s
        )
        if purged.log_emptied:
            await database.write(lambda c: done(c, PURGED_AT, now))
        else:
            log.warning("log_not_emptied", count=purged.deleted)
        for name in purged.unneeded_keys:
            log.info("data_key_no_longer_needed", fingerprint=name)
        log.info("calls_purged", count=purged.deleted)
        return purged.deleted


async def _delete_calls(store: Store, which: ColumnElement[bool]) -> int:
    """Everything that belongs to a call goes with its row."""
    batch = select(calls.c.call_sid).where(which).limit(BATCH)
    query = delete(calls).where(calls.c.call_sid.in_(batch))
    deleted = 0
    while True:
        count = await store.database.write(
            lambda connection: connection.execute(query).rowcount, within_s=READ_WITHIN_S
        )
        deleted += count
        if count < BATCH:
            return deleted


_ENCRYPTED_COLUMNS = (
    calls.c.caller,
    hops.c.opening,
    decisions.c.twiml,
    reports.c.twiml,
    outbox.c.payload,
    timeline.c.words,
    facts.c.value,
)


def _drop_unneeded_keys(connection: Connection, cipher: DataCipher, now: float) -> tuple[str, ...]:
    """Keys that nothing is left of: they may go from DATA_KEYS.

    Not on the day of a rotation, when other processes may still write with the old one.
    """
    known = {row.fingerprint: row.first_used_at for row in connection.execute(select(data_keys))}
    if cipher.writes_with is not None:
        # Not there: a process with other keys, to which ours was one of the unneeded, dropped it.
        writing_since = known.get(cipher.writes_with)
        if writing_since is None or writing_since > now - DAY_S:
            return ()
    others = sorted(known.keys() - {cipher.writes_with})
    unneeded = tuple(name for name in others if not _left_of(connection, f"{ENCRYPTED}{name}:"))
    connection.execute(delete(data_keys).where(data_keys.c.fingerprint.in_(unneeded)))
    return unneeded


def _left_of(connection: Connection, prefix: str) -> bool:
    """Whether anything stored begins so."""
    queries = (
        select(column).where(column.startswith(prefix, autoescape=True)).limit(1)
        for column in _ENCRYPTED_COLUMNS
    )
    return any(connection.scalar(query) is not None for query in queries)
