"""The ledger in a database: shared by processes, there after any of them died."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Select

from bridge.store import statements as sql
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
from bridge.store.tables import calls, decisions, reports

HOPS_PER_CALL = 16
"""Far above any limit on hops: what keeps a loop elsewhere from growing a record without end."""


class SqlLedger:
    """``clock`` gives Unix seconds, ``make_token`` an unguessable URL-safe string.

    Decisions and reports outlive a power cut. What leads up to them does not wait for the disk: a
    power cut ends those calls anyway, and without their rows they go to today's flow.
    """

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
            lambda connection: self._open_call(connection, opening, idempotency_key), durable=False
        )

    async def mint_token(self, call_sid: str, ttl_s: float) -> str:
        token = self._make_token()
        row = {
            "digest": _digest(token),
            "at_call_sid": call_sid,
            "expires_at": self._clock() + ttl_s,
        }
        if not await self._database.execute(sql.NEW_TOKEN, row, durable=False):
            raise UnknownCallError(f"no call {call_sid} is held")
        return token

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        return await self._database.write(
            lambda connection: self._redeem(connection, _digest(token), call_sid, account_sid),
            durable=False,
        )

    async def token_call(self, token: str) -> CallOpening | None:
        return await self._read_opening(sql.OPENING_OF_TOKEN, {"at_digest": _digest(token)})

    async def opening(self, call_sid: str) -> CallOpening | None:
        return await self._read_opening(sql.LAST_OPENING, {"at_call_sid": call_sid})

    async def close_call(self, end: CallEnd) -> bool:
        row = {
            "at_call_sid": end.call_sid,
            "ended_at": end.ended_at,
            "end_status": end.status,
            "duration_s": end.duration_s,
        }
        return await self._database.execute(sql.CLOSE_CALL, row, durable=False) > 0

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
        here = {"at_call_sid": call_sid, "at_hop": hop}
        rows = await self._database.read(lambda c: c.execute(sql.REPORTS, here).all())
        return tuple(self._rows.read_report(row) for row in rows)

    async def _read_opening(
        self, query: Select[str], where: Mapping[str, object]
    ) -> CallOpening | None:
        stored = await self._database.read(lambda connection: connection.scalar(query, where))
        return None if stored is None else self._rows.read_opening(stored)

    # --- inside a transaction ------------------------------------------------------------------

    def _open_call(
        self, connection: Connection, opening: CallOpening, idempotency_key: str | None
    ) -> CallOpening:
        hop = opening.hop
        if not connection.execute(insert_new(connection, calls), self._rows.call(opening)).rowcount:
            known = _known_hops(connection, opening)
            standing = _standing_hop(known, idempotency_key)
            if standing is not None:
                return self._rows.read_opening(standing.opening)
            if len(known) >= HOPS_PER_CALL:
                raise LedgerUnavailableError(
                    f"call {opening.call_sid} came in {HOPS_PER_CALL} times", "too_many_hops"
                )
            hop = max(hop, known[-1].hop + 1 if known else 0)
        opened = replace(opening, hop=hop)
        connection.execute(sql.NEW_HOP, self._rows.hop(opened, idempotency_key))
        return opened

    def _redeem(
        self, connection: Connection, digest: bytes, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        held = connection.execute(sql.TOKEN, {"at_digest": digest}).first()
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
        connection.execute(sql.USE_TOKEN, {"at_digest": digest, "used_at": now})
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
        here = {"at_call_sid": report.call_sid, "at_hop": report.hop, "at_key": report.key}
        return self._rows.read_report(connection.execute(sql.REPORT, here).one())

    def _decision(
        self, connection: Connection, call_sid: str, hop: int | None
    ) -> StoredDecision | None:
        if hop is None:
            row = connection.execute(sql.LAST_DECISION, {"at_call_sid": call_sid}).first()
        else:
            here = {"at_call_sid": call_sid, "at_hop": hop}
            row = connection.execute(sql.DECISION, here).first()
        return None if row is None else self._rows.read_decision(row)


def _known_hops(connection: Connection, opening: CallOpening) -> Sequence[Row[Any]]:
    """Of a call that is known, even if only as one the AI did not take."""
    where = {"at_call_sid": opening.call_sid}
    connection.execute(sql.TAKE_CALL, where | {"side_reason": opening.side_reason})
    return connection.execute(sql.HOPS, where).all()


def _standing_hop(known: Sequence[Row[Any]], idempotency_key: str | None) -> Row[Any] | None:
    """The row of the hop that a repeated webhook asks for again, if this is one."""
    if idempotency_key is not None:
        for hop in known:
            if hop.idempotency_key == idempotency_key:
                return hop
    if not known or known[-1].used or (idempotency_key and known[-1].idempotency_key):
        return None
    return known[-1]


def _use(connection: Connection, call_sid: str, hop: int) -> None:
    where = {"at_call_sid": call_sid, "at_hop": hop}
    if not connection.execute(sql.USE_HOP, where).rowcount:
        raise UnknownCallError(f"call {call_sid} has no hop {hop}")


def _show_in_list(connection: Connection, row: dict[str, Any]) -> None:
    shown = {name: row[name] for name in ("intent", "confidence", "route", "reason")}
    where = {"at_call_sid": row["call_sid"], "at_hop": row["hop"]}
    connection.execute(sql.SHOW_DECISION, where | shown)


def _digest(token: str) -> bytes:
    """Kept and looked up instead of the token: the time of a look-up tells nothing about it."""
    return hashlib.sha256(token.encode()).digest()


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
