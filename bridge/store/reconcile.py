"""Finding out what no status callback told: is the call over?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog
from sqlalchemy import Connection, select

from bridge.store.chores import again_and_again, claim
from bridge.store.ledger import CallEnd, Ledger
from bridge.store.store import Store
from bridge.store.tables import calls

log = structlog.get_logger("bridge.store")

CallStatus: TypeAlias = Callable[[str], Awaitable[CallEnd | None]]
"""Ask Twilio how the call with this SID ended; None while that is not known."""

RECONCILED_AT = "reconciled_at"
EVERY_S = 60.0
ASKED_AFTER_S = 600.0
NOT_OLDER_THAN_S = 2 * 86_400.0
AT_ONCE = 50


class Reconciler:
    """Asks Twilio about some calls a minute, by one of however many processes.

    ``clock`` gives Unix seconds. Calls are asked about one after the other: nobody is waiting, and
    Twilio counts requests.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        call_status: CallStatus,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._call_status = call_status
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        await again_and_again(self.round_if_due, EVERY_S, stop)

    async def round_if_due(self) -> int | None:
        """How many calls were closed; None if it is too early, or another process is at it."""
        now = self._clock()
        due = await self._store.database.write(lambda c: claim(c, RECONCILED_AT, now, EVERY_S))
        return await self._round() if due else None

    async def _round(self) -> int:
        closed = 0
        for sid in await self._store.database.read(self._without_end):
            end = await self._call_status(sid)
            if end is not None and await self._ledger.close_call(end):
                log.info("call_end_found", call_sid=sid, status=end.status)
                closed += 1
        return closed

    def _without_end(self, connection: Connection) -> Sequence[str]:
        now = self._clock()
        query = (
            select(calls.c.call_sid)
            .where(
                calls.c.ended_at.is_(None),
                calls.c.started_at > now - NOT_OLDER_THAN_S,
                calls.c.started_at <= now - ASKED_AFTER_S,
            )
            .order_by(calls.c.side, calls.c.started_at)  # "ai" comes before "today"
            .limit(AT_ONCE)
        )
        return connection.scalars(query).all()
