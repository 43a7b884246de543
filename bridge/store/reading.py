"""Looking at calls afterwards: the list, and one call with everything that is stored of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, func, or_, select

from bridge.store.cipher import DataCipher
from bridge.store.store import Store
from bridge.store.tables import (
    calls,
    decisions,
    hops,
    outbox,
    reports,
    status_events,
    timeline,
    turns,
    usage,
)

READ_WITHIN_S = 30.0
"""An operator waits, unlike a caller."""
MAX_LISTED = 10_000
TODAY = "today"
"""The outcome of calls that the AI did not take; also the ``side`` they are stored with."""
UNDECIDED = "undecided"
"""The intent of calls that the AI took and that have none, and the outcome of those without."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls. None: any. Times are Unix seconds.

    ``outcome`` is a route's kind, TODAY or UNDECIDED, ``intent`` an intent or UNDECIDED.
    """

    tenant: str | None = None
    intent: str | None = None
    outcome: str | None = None
    started_from: float | None = None
    started_before: float | None = None
    caller: str | None = None
    """A telephone number."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class CallLine:
    """One call in the list. ``caller`` is the whole number: whoever shows it masks it."""

    call_sid: str
    tenant: str
    entry: str
    side: str
    side_reason: str | None
    caller: str
    called: str
    started_at: float
    intent: str | None
    confidence: float | None
    route: str | None
    reason: str | None
    ended_at: float | None
    end_status: str | None
    duration_s: int | None
    turns: int = 0
    cost_usd: float | None = None
    """None: unknown."""
    conversations: int = 0
    """That are over, whose use the cost is of."""


async def list_calls(store: Store, wanted: CallFilter) -> list[CallLine]:
    """Newest first."""
    query = _filtered(store, wanted)

    def read(connection: Connection) -> list[CallLine]:
        rows = connection.execute(query).all()
        sids = [row.call_sid for row in rows]
        answered = _turn_counts(connection, sids)
        costs = _costs(connection, sids)
        return [_line(row, store.cipher, answered, costs) for row in rows]

    return await store.database.read(read, within_s=READ_WITHIN_S)


async def read_call(store: Store, call_sid: str) -> dict[str, Any] | None:
    """All that is stored of a call, decrypted, as a JSON object; None if there is no such call."""

    def read(connection: Connection) -> dict[str, Any] | None:
        row = connection.execute(select(calls).where(calls.c.call_sid == call_sid)).first()
        if row is None:
            return None
        call = {name: value for name, value in _plain(row).items() if name not in _OURS}
        call["caller"] = store.cipher.decrypt(row.caller)
        return {"call": call} | {
            name: [
                _opened(name, found, store.cipher) for found in _rows(connection, name, call_sid)
            ]
            for name in _PARTS
        }

    return await store.database.read(read, within_s=READ_WITHIN_S)


# --- the list -------------------------------------------------------------------------------


def _filtered(store: Store, wanted: CallFilter) -> Select[Any]:
    query = select(calls).order_by(calls.c.started_at.desc(), calls.c.call_sid)
    if wanted.tenant is not None:
        query = query.where(calls.c.tenant == wanted.tenant)
    if wanted.intent is not None:
        query = query.where(_decided(calls.c.intent, wanted.intent))
    if wanted.outcome == TODAY:
        query = query.where(calls.c.side == TODAY)
    elif wanted.outcome is not None:
        query = query.where(_decided(calls.c.route, wanted.outcome))
    if wanted.caller is not None:
        query = query.where(calls.c.caller_hash == store.number_hash(wanted.caller))
    if wanted.started_from is not None:
        query = query.where(calls.c.started_at >= wanted.started_from)
    if wanted.started_before is not None:
        query = query.where(calls.c.started_at < wanted.started_before)
    return query.limit(min(wanted.limit, MAX_LISTED))


def _decided(column: Column[Any], value: str) -> ColumnElement[bool]:
    """As the statistics count: UNDECIDED is what has no value, and what is called so."""
    if value != UNDECIDED:
        return column == value
    return or_(column == value, column.is_(None)) & (calls.c.side == "ai")


def _turn_counts(connection: Connection, sids: Sequence[str]) -> dict[str, int]:
    query = (
        select(turns.c.call_sid, func.count().label("n"))
        .where(turns.c.call_sid.in_(sids))
        .group_by(turns.c.call_sid)
    )
    return {row.call_sid: row.n for row in connection.execute(query)}


def _costs(connection: Connection, sids: Sequence[str]) -> dict[str, tuple[float | None, int]]:
    """By call: unknown as soon as one hop's is; of how many hops."""
    query = (
        select(
            usage.c.call_sid,
            func.sum(usage.c.total_usd),
            func.count(),
            func.count(usage.c.total_usd),
        )
        .where(usage.c.call_sid.in_(sids))
        .group_by(usage.c.call_sid)
    )
    return {
        sid: (total if hops_known == hops_priced else None, hops_known)
        for sid, total, hops_known, hops_priced in connection.execute(query)
    }


def _line(
    row: Row[Any],
    cipher: DataCipher,
    answered: Mapping[str, int],
    costs: Mapping[str, tuple[float | None, int]],
) -> CallLine:
    same = {
        name: getattr(row, name)
        for name in CallLine.__dataclass_fields__
        if name not in ("caller", "turns", "cost_usd", "conversations")
    }
    cost_usd, conversations = costs.get(row.call_sid, (None, 0))
    return CallLine(
        caller=cipher.decrypt(row.caller),
        turns=answered.get(row.call_sid, 0),
        cost_usd=cost_usd,
        conversations=conversations,
        **same,
    )


_OURS = ("caller_hash", "day")


# --- one call -------------------------------------------------------------------------------

_PARTS: dict[str, tuple[Table, tuple[str, ...]]] = {
    "hops": (hops, ("hop",)),
    "decisions": (decisions, ("hop",)),
    "timeline": (timeline, ("hop", "seq")),
    "turns": (turns, ("hop", "turn")),
    "usage": (usage, ("hop",)),
    "reports": (reports, ("hop", "at", "key")),
    "side_effects": (outbox, ("id",)),
    "status_events": (status_events, ("at",)),
}
_SEALED_JSON = {
    ("hops", "opening"),
    ("decisions", "decision"),
    ("decisions", "envelope"),
    ("reports", "fields"),
    ("side_effects", "payload"),
}
_SEALED_TEXT = {("decisions", "twiml"), ("reports", "twiml"), ("timeline", "words")}
_PLAIN_JSON = {("timeline", "fields"), ("status_events", "fields")}


def _rows(connection: Connection, part: str, call_sid: str) -> Sequence[Row[Any]]:
    table, order = _PARTS[part]
    query = select(table).where(table.c.call_sid == call_sid)
    return connection.execute(query.order_by(*(table.c[name] for name in order))).all()


def _opened(part: str, row: Row[Any], cipher: DataCipher) -> dict[str, Any]:
    values = _plain(row)
    del values["call_sid"]
    for name, stored in values.items():
        if stored is None:
            continue
        if (part, name) in _SEALED_JSON:
            values[name] = cipher.decrypt_json(stored)
        elif (part, name) in _SEALED_TEXT:
            values[name] = cipher.decrypt(stored)
        elif (part, name) in _PLAIN_JSON:
            values[name] = orjson.loads(stored)
    return values


def _plain(row: Row[Any]) -> dict[str, Any]:
    """Column names are strings of SQLAlchemy's own kind, which JSON encoders refuse as keys."""
    return {str(name): value for name, value in row._asdict().items()}
