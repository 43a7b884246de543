"""Side effects waiting to be delivered: written with the decision, leased by one worker at a time.

A leased effect is due again when its lease runs out, so that nothing is lost with a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import structlog
from sqlalchemy import Connection, Row, Update, select, update

from bridge.store import statements as sql
from bridge.store.cipher import DataCipher, UnreadableDataError
from bridge.store.dialect import insert_new
from bridge.store.ledger import SideEffect
from bridge.store.store import Store
from bridge.store.tables import outbox

log = structlog.get_logger("bridge.outbox")

State: TypeAlias = Literal["pending", "done", "dead", "dropped"]

MAX_RESULT_CHARS = 256


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at a side effect."""

    id: int
    call_sid: str
    hop: int
    kind: str
    key: str
    payload: Mapping[str, Any]
    attempt: int
    """From 1."""
    in_doubt: bool
    """An earlier attempt may have been carried out: look it up by the call SID before repeating."""
    created_at: float
    deadline_at: float


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One side effect as an operator sees it: without what it would send."""

    id: int
    call_sid: str
    hop: int
    kind: str
    key: str
    state: State
    attempts: int
    in_doubt: bool
    created_at: float
    due_at: float
    deadline_at: float
    finished_at: float | None
    result: str | None
    error: str | None


def add_effects(
    connection: Connection,
    cipher: DataCipher,
    where: tuple[str, int],
    effects: Sequence[SideEffect],
    now: float,
) -> int:
    """``where`` is a call SID and its hop. How many were new."""
    call_sid, hop = where
    new = 0
    for effect in effects:
        row = {
            "call_sid": call_sid,
            "hop": hop,
            "kind": effect.kind,
            "key": effect.key,
            "payload": cipher.encrypt_json(effect.payload),
            "state": "pending",
            "attempts": 0,
            "in_doubt": False,
            "created_at": now,
            "due_at": now + effect.delay_s,
            "deadline_at": now + effect.deliver_within_s,
        }
        new += connection.execute(insert_new(connection, outbox), row).rowcount
    return new


class Outbox:
    """The table of side effects. ``clock`` gives Unix seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._database = store.database
        self._cipher = store.cipher
        self._clock = clock

    # --- for the worker ------------------------------------------------------------------------

    async def is_due(self) -> bool:
        """Whether there is anything to claim or to bury. Cheap: takes no lock."""
        now = {"at_now": self._clock()}
        return await self._database.read(lambda c: c.scalar(sql.DUE_EFFECT, now)) is not None

    async def claim(
        self, owner: str, kinds: Sequence[str], limit: int, lease_s: float
    ) -> list[Delivery]:
        """Lease up to ``limit`` due effects of these ``kinds``, those due longest first.

        No other worker gets them for ``lease_s`` seconds.
        """
        if not kinds or limit < 1:
            return []
        return await self._database.write(
            lambda connection: self._claim(connection, owner, kinds, limit, lease_s)
        )

    async def done(self, delivery: Delivery, owner: str, result: str | None) -> bool:
        """Delivered. False if the lease was lost meanwhile and somebody else has it."""
        return await self._settle(
            sql.FINISH,
            delivery,
            owner,
            state="done",
            in_doubt=False,
            finished_at=self._clock(),
            result=_cut(result),
            error=None,
        )

    async def put_off(
        self, delivery: Delivery, owner: str, due_at: float, error: str, in_doubt: bool
    ) -> bool:
        """To be tried again at ``due_at``. ``in_doubt``: this attempt may have been carried out."""
        return await self._settle(
            sql.PUT_OFF,
            delivery,
            owner,
            due_at=due_at,
            in_doubt=in_doubt or delivery.in_doubt,
            error=_cut(error),
        )

    async def give_up(self, delivery: Delivery, owner: str, error: str) -> bool:
        """A dead letter from now on. This attempt was refused: any doubt is an earlier one's."""
        return await self._settle(
            sql.FINISH,
            delivery,
            owner,
            state="dead",
            in_doubt=delivery.in_doubt,
            finished_at=self._clock(),
            result=None,
            error=_cut(error),
        )

    async def bury_overdue(self) -> int:
        """Make dead letters of what nobody delivered in time, of whatever kind. How many."""
        return await self._database.execute(sql.BURY_OVERDUE, {"at_now": self._clock()})

    # --- for the operator ----------------------------------------------------------------------

    async def entries(
        self, states: Sequence[State], limit: int, call_sid: str | None = None
    ) -> list[OutboxEntry]:
        """Newest first."""
        columns = [outbox.c[name] for name in OutboxEntry.__dataclass_fields__]
        query = select(*columns).where(outbox.c.state.in_(states))
        if call_sid is not None:
            query = query.where(outbox.c.call_sid == call_sid)
        query = query.order_by(outbox.c.id.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [OutboxEntry(**row._asdict()) for row in rows]

    async def retry(self, entry_id: int, deliver_within_s: float) -> bool:
        """Due at once, with a new deadline. False unless it is a dead or dropped letter."""
        now = self._clock()
        query = (
            update(outbox)
            .where(outbox.c.id == entry_id, outbox.c.state.in_(("dead", "dropped")))
            .values(
                state="pending",
                due_at=now,
                deadline_at=now + deliver_within_s,
                finished_at=None,
                lease_owner=None,
            )
        )
        return await self._database.execute(query) > 0

    async def drop(self, entry_id: int) -> bool:
        """Never to be delivered. False unless it is pending or dead, and not being tried now."""
        now = self._clock()
        idle = (outbox.c.id == entry_id) & (
            (outbox.c.state == "dead")
            | ((outbox.c.state == "pending") & outbox.c.lease_owner.is_(None))
            | ((outbox.c.state == "pending") & (outbox.c.due_at <= now))
        )
        query = update(outbox).where(idle).values(state="dropped", finished_at=now)
        return await self._database.execute(query) > 0

    # --- inside --------------------------------------------------------------------------------

    def _claim(
        self, connection: Connection, owner: str, kinds: Sequence[str], limit: int, lease_s: float
    ) -> list[Delivery]:
        now = self._clock()
        due = {"at_now": now, "at_kinds": list(kinds), "at_most": limit}
        claimed = list(self._readable(connection.execute(sql.CLAIM, due).all()))
        if claimed:
            # In doubt from here on: this process may die at any step of the attempt.
            lease = {
                "at_ids": [delivery.id for delivery in claimed],
                "lease_owner": owner,
                "due_at": now + lease_s,
            }
            connection.execute(sql.LEASE, lease)
        return claimed

    def _readable(self, rows: Sequence[Row[Any]]) -> Iterator[Delivery]:
        """While keys are rotated, another process may have written with one we do not hold yet."""
        for row in rows:
            try:
                yield self._delivery(row)
            except UnreadableDataError:
                log.error("side_effect_unreadable", id=row.id, kind=row.kind)

    def _delivery(self, row: Row[Any]) -> Delivery:
        return Delivery(
            id=row.id,
            call_sid=row.call_sid,
            hop=row.hop,
            kind=row.kind,
            key=row.key,
            payload=self._cipher.decrypt_json(row.payload),
            attempt=row.attempts + 1,
            in_doubt=row.in_doubt,
            created_at=row.created_at,
            deadline_at=row.deadline_at,
        )

    async def _settle(
        self, settling: Update, delivery: Delivery, owner: str, **values: object
    ) -> bool:
        lease = {"at_id": delivery.id, "at_owner": owner, "at_attempt": delivery.attempt}
        # Lost in a power cut, it is tried again in doubt.
        return await self._database.execute(settling, lease | values, durable=False) > 0


def _cut(text: str | None) -> str | None:
    """As every database takes it."""
    if text is None:
        return None
    return text.replace("\x00", "")[:MAX_RESULT_CHARS].encode("utf-8", "replace").decode()
