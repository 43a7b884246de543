"""Finding out what no status callback told: is the call over, did its Task appear?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson
import structlog
from sqlalchemy import Connection, select

from bridge.store.dialect import insert_new
from bridge.store.ledger import CallEnd, Ledger
from bridge.store.store import Store
from bridge.store.tables import calls, decisions, status_events

log = structlog.get_logger("bridge.store")

CallStatus: TypeAlias = Callable[[str], Awaitable[CallEnd | None]]
"""Ask Twilio how the call with this SID ended; None while it goes on."""
FindTask: TypeAlias = Callable[[str], Awaitable[str | None]]
"""Ask Twilio for the Task of the call with this SID: its SID, None if there is none."""

WITH_TASK = ("flex",)
"""Routes whose Task Twilio makes by itself, from our TwiML."""
ASKED_AFTER_S = 600.0
TASK_WITHIN_S = 30.0
NOT_OLDER_THAN_S = 2 * 86_400.0
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Reconciled:
    closed: int
    tasks_found: int
    tasks_missing: int


class Reconciler:
    """Asks Twilio about a few calls a round. ``clock`` gives Unix seconds.

    Calls are asked about one after the other: nobody is waiting, and Twilio counts requests.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        call_status: CallStatus,
        find_task: FindTask,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._call_status = call_status
        self._find_task = find_task
        self._clock = clock

    async def round(self) -> Reconciled:
        """What the askers raise comes through; what was found until then is kept."""
        closed = found = missing = 0
        for sid in await self._store.database.read(self._without_end):
            end = await self._call_status(sid)
            closed += end is not None and await self._ledger.close_call(end)
        for sid in await self._store.database.read(self._without_task):
            task = await self._find_task(sid)
            await self._note_task(sid, task)
            found, missing = found + (task is not None), missing + (task is None)
            if task is None:
                log.error("task_missing", call_sid=sid)
        return Reconciled(closed, found, missing)

    def _without_end(self, connection: Connection) -> Sequence[str]:
        now = self._clock()
        query = (
            select(calls.c.call_sid)
            .where(
                calls.c.ended_at.is_(None),
                calls.c.side == "ai",
                calls.c.started_at > now - NOT_OLDER_THAN_S,
                calls.c.started_at <= now - ASKED_AFTER_S,
            )
            .order_by(calls.c.started_at)
            .limit(AT_ONCE)
        )
        return connection.scalars(query).all()

    def _without_task(self, connection: Connection) -> Sequence[str]:
        now = self._clock()
        told = select(status_events.c.at).where(
            status_events.c.call_sid == decisions.c.call_sid, status_events.c.source == "task"
        )
        query = (
            select(decisions.c.call_sid)
            .join(calls, calls.c.call_sid == decisions.c.call_sid)
            .where(
                decisions.c.route.in_(WITH_TASK),
                calls.c.started_at > now - NOT_OLDER_THAN_S,
                decisions.c.decided_at <= now - TASK_WITHIN_S,
                ~told.exists(),
            )
            .distinct()
            .limit(AT_ONCE)
        )
        return connection.scalars(query).all()

    async def _note_task(self, call_sid: str, task: str | None) -> None:
        row = {
            "call_sid": call_sid,
            "at": self._clock(),
            "source": "task",
            "status": "missing" if task is None else "created",
            "fields": orjson.dumps({} if task is None else {"task_sid": task}).decode(),
        }
        await self._store.database.write(
            lambda connection: connection.execute(insert_new(connection, status_events), row)
        )
