"""The ledger in a database: shared by processes, there after any of them died."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, func, insert, select, update

from bridge.store.dialect import insert_new
from bridge.store.ledger import (
    CallEnd,
    CallOpening,
    HandoverReport,
    LedgerUnavailableError,
    Refusal,
    SideEffect,
    StoredDecision,
    UnknownCallError,
)
from bridge.store.outbox import add_effects
from bridge.store.rows import LedgerRows
from bridge.store.store import Store
from bridge.store.tables import calls, decisions, hops, reports, status_events, tokens

HOPS_PER_CALL = 16
"""Far above any limit on hops: what keeps a loop elsewhere from growing a record without end."""


class SqlLedger:
    """``clock`` gives Unix seconds, ``make_token`` an unguessable URL-safe string."""

    def __init__(
        self, store: Store, clock: Callable[[], float], make_token: Callable[[], str]
    ) -> None:
        self._database = store.database
        self._cipher = store.cipher
        self._rows = LedgerRows(store.cipher, store.number_hash)
        self._clock = clock
        self._make_token = make_token

    # --- calls and tokens ----------------------------------------------------------------------

    async def open_call(
        self, opening: CallOpening, idempotency_key: str | None = None
    ) -> CallOpening:
        return await self._database.write(
            lambda connection: self._open_call(connection, opening, idempotency_key)
        )

    async def mint_token(self, call_sid: str, ttl_s: float) -> str:
        token = self._make_token()
        expires_at = self._clock() + ttl_s
        await self._database.write(
            lambda connection: _mint(connection, _digest(token), call_sid, expires_at)
        )
        return token

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        return await self._database.write(
            lambda connection: self._redeem(connection, _digest(token), call_sid, account_sid)
        )

    async def token_call(self, token: str) -> CallOpening | None:
        query = (
            select(hops.c.opening)
            .join(tokens, (tokens.c.call_sid == hops.c.call_sid) & (tokens.c.hop == hops.c.hop))
            .where(tokens.c.digest == _digest(token))
        )
        return await self._read_opening(query)

    async def opening(self, call_sid: str) -> CallOpening | None:
        query = (
            select(hops.c.opening)
            .where(hops.c.call_sid == call_sid)
            .order_by(hops.c.hop.desc())
            .limit(1)
        )
        return await self._read_opening(query)

    async def close_call(self, end: CallEnd) -> bool:
        return await self._database.write(lambda connection: _close(connection, end))

    # --- decisions -----------------------------------------------------------------------------

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        return await self._database.write(
            lambda connection: self._record_decision(connection, decision, effects)
        )

    async def add_effects(self, call_sid: str, hop: int, effects: Sequence[SideEffect]) -> int:
        def add(connection: Connection) -> int:
            _use(connection, call_sid, hop)
            return add_effects(connection, self._cipher, (call_sid, hop), effects, self._clock())

        return await self._database.write(add)

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        return await self._database.read(
            lambda connection: self._decision(connection, call_sid, hop)
        )

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        return await self._database.write(
            lambda connection: self._report(connection, report, effects)
        )

    async def reports(self, call_sid: str, hop: int) -> Sequence[HandoverReport]:
        here = (reports.c.call_sid == call_sid) & (reports.c.hop == hop)
        query = select(reports).where(here).order_by(reports.c.at, reports.c.key)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(self._rows.read_report(row) for row in rows)

    async def _read_opening(self, query: Select[str]) -> CallOpening | None:
        stored = await self._database.read(lambda connection: connection.scalar(query))
        return None if stored is None else self._rows.read_opening(stored)

    # --- inside a transaction ------------------------------------------------------------------

    def _open_call(
        self, connection: Connection, opening: CallOpening, idempotency_key: str | None
    ) -> CallOpening:
        hop = opening.hop
        if not connection.execute(insert_new(connection, calls), self._rows.call(opening)).rowcount:
            known = _known_hops(connection, opening.call_sid)
            standing = _standing_hop(known, idempotency_key)
            if standing is not None:
                return self._rows.read_opening(standing.opening)
            if len(known) >= HOPS_PER_CALL:
                raise LedgerUnavailableError(
                    f"call {opening.call_sid} came in {HOPS_PER_CALL} times", "too_many_hops"
                )
            hop = max(hop, known[-1].hop + 1 if known else 0)
        opened = replace(opening, hop=hop)
        connection.execute(insert(hops), self._rows.hop(opened, idempotency_key))
        return opened

    def _redeem(
        self, connection: Connection, digest: bytes, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        held = connection.execute(
            select(tokens, hops.c.opening)
            .join(hops, (tokens.c.call_sid == hops.c.call_sid) & (tokens.c.hop == hops.c.hop))
            .where(tokens.c.digest == digest)
            .with_for_update(of=tokens)
        ).first()
        if held is None:
            return Refusal("unknown_token")
        opening = self._rows.read_opening(held.opening)
        now = self._clock()
        if not _same(held.call_sid, call_sid):
            return Refusal("call_mismatch")
        if not _same(opening.account_sid, account_sid):
            return Refusal("account_mismatch")
        if held.used_at is not None:
            return Refusal("used_token")
        if now >= held.expires_at:
            return Refusal("expired_token")
        connection.execute(update(tokens).where(tokens.c.digest == digest).values(used_at=now))
        _use(connection, held.call_sid, held.hop)
        return opening

    def _record_decision(
        self, connection: Connection, decision: StoredDecision, effects: Sequence[SideEffect]
    ) -> StoredDecision:
        where = (decision.call_sid, decision.hop)
        _use(connection, *where)
        row = self._rows.decision(decision)
        if connection.execute(insert_new(connection, decisions), row).rowcount:
            _show_in_list(connection, row)
            add_effects(connection, self._cipher, where, effects, self._clock())
            return decision
        standing = self._decision(connection, *where)
        if standing is None:
            raise LookupError(f"the decision of {where} is there and is not")
        return standing

    def _report(
        self, connection: Connection, report: HandoverReport, effects: Sequence[SideEffect]
    ) -> HandoverReport:
        where = (report.call_sid, report.hop)
        _use(connection, *where)
        row = self._rows.report(report)
        if connection.execute(insert_new(connection, reports), row).rowcount:
            add_effects(connection, self._cipher, where, effects, self._clock())
            return report
        here = (reports.c.call_sid == report.call_sid) & (reports.c.hop == report.hop)
        query = select(reports).where(here, reports.c.key == report.key)
        return self._rows.read_report(connection.execute(query).one())

    def _decision(
        self, connection: Connection, call_sid: str, hop: int | None
    ) -> StoredDecision | None:
        query = select(decisions).where(decisions.c.call_sid == call_sid)
        if hop is None:
            last = select(func.max(hops.c.hop)).where(hops.c.call_sid == call_sid)
            query = query.where(decisions.c.hop == last.scalar_subquery())
        else:
            query = query.where(decisions.c.hop == hop)
        row = connection.execute(query).first()
        return None if row is None else self._rows.read_decision(row)


def _known_hops(connection: Connection, call_sid: str) -> Sequence[Row[Any]]:
    """Of a call that is known, even if only as one the AI did not take.

    Locks the call until the transaction ends: one hop opens at a time.
    """
    connection.execute(
        update(calls).where(calls.c.call_sid == call_sid).values(side="ai", side_reason=None)
    )
    query = select(hops).where(hops.c.call_sid == call_sid).order_by(hops.c.hop)
    return connection.execute(query).all()


def _standing_hop(known: Sequence[Row[Any]], idempotency_key: str | None) -> Row[Any] | None:
    """The row of the hop that a repeated webhook asks for again, if this is one."""
    if idempotency_key is not None:
        for hop in known:
            if hop.idempotency_key == idempotency_key:
                return hop
    if not known or known[-1].used or (idempotency_key and known[-1].idempotency_key):
        return None
    return known[-1]


def _mint(connection: Connection, digest: bytes, call_sid: str, expires_at: float) -> None:
    hop = connection.scalar(select(func.max(hops.c.hop)).where(hops.c.call_sid == call_sid))
    if hop is None:
        raise UnknownCallError(f"no call {call_sid} is held")
    connection.execute(
        insert(tokens).values(digest=digest, call_sid=call_sid, hop=hop, expires_at=expires_at)
    )


def _use(connection: Connection, call_sid: str, hop: int) -> None:
    """The hop is taken: a repeated webhook opens the next one. Locks its row."""
    here = (hops.c.call_sid == call_sid) & (hops.c.hop == hop)
    if not connection.execute(update(hops).where(here).values(used=True)).rowcount:
        raise UnknownCallError(f"call {call_sid} has no hop {hop}")


def _show_in_list(connection: Connection, row: dict[str, Any]) -> None:
    """Unless a later hop is shown already."""
    shown = {name: row[name] for name in ("intent", "confidence", "route", "reason")}
    later = select(decisions.c.hop).where(
        decisions.c.call_sid == row["call_sid"], decisions.c.hop > row["hop"]
    )
    here = (calls.c.call_sid == row["call_sid"]) & ~later.exists()
    connection.execute(update(calls).where(here).values(shown))


def _close(connection: Connection, end: CallEnd) -> bool:
    ended = connection.execute(
        update(calls)
        .where(calls.c.call_sid == end.call_sid, calls.c.ended_at.is_(None))
        .values(ended_at=end.ended_at, end_status=end.status, duration_s=end.duration_s)
    )
    if not ended.rowcount:
        return False
    row = {
        "call_sid": end.call_sid,
        "at": end.ended_at,
        "source": "call",
        "status": end.status,
        "fields": orjson.dumps({"duration_s": end.duration_s}).decode(),
    }
    connection.execute(insert_new(connection, status_events), row)
    return True


def _digest(token: str) -> bytes:
    """Kept and looked up instead of the token: the time of a look-up tells nothing about it."""
    return hashlib.sha256(token.encode()).digest()


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
