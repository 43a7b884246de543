"""What one of however many processes does now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import Connection, select, update

from bridge.store.dialect import insert_new
from bridge.store.ledger import LedgerUnavailableError
from bridge.store.tables import facts

log = structlog.get_logger("bridge.store")


def claim(
    connection: Connection,
    chore: str,
    now: float,
    every_s: float,
    lease_s: float | None = None,
) -> bool:
    """Whether it is due, and ours to do; then nobody else's before ``every_s`` have passed.

    With ``lease_s`` somebody else's as soon as that is over, unless ``done`` was called.
    """
    claimed = str(now if lease_s is None else now - every_s + lease_s)
    first = insert_new(connection, facts)
    if connection.execute(first, {"name": chore, "value": claimed}).rowcount:
        return True
    here = facts.c.name == chore
    last = connection.scalar(select(facts.c.value).where(here).with_for_update())
    if last is None or float(last) > now - every_s:
        return False
    connection.execute(update(facts).where(here).values(value=claimed))
    return True


def done(connection: Connection, chore: str, claimed_at: float) -> None:
    """What was claimed with a lease at that time is done."""
    here = facts.c.name == chore
    connection.execute(update(facts).where(here).values(value=str(claimed_at)))


async def again_and_again(
    work: Callable[[], Awaitable[object]], look_every_s: float, stop: asyncio.Event
) -> None:
    """Until ``stop``. A database in trouble is asked again at the next look, and so is a chore
    that fails: calls in progress are not to end with it."""
    while not stop.is_set():
        try:
            await work()
        except LedgerUnavailableError:
            pass  # the log knows it from the database
        except Exception as error:
            what = getattr(work, "__qualname__", "")
            log.error("chore_failed", chore=what, error=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(look_every_s):
                await stop.wait()
