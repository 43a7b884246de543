"""The ledger of one process: bounded, expiring, gone with the process."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

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

OPEN_KEEP_S = 5 * 3600
"""Twilio ends a call after four hours; older records are of calls whose end got lost."""
CLOSED_KEEP_S = 900
"""Twilio has given up repeating the requests of an ended call long before."""
TOKENS_PER_CALL = 8
"""Each repeated webhook mints one; the oldest goes when there are more."""
HOPS_PER_CALL = 16
"""Far above any limit on hops: what keeps a loop elsewhere from growing a record without end."""


@dataclass(slots=True)
class _Hop:
    opening: CallOpening
    idempotency_key: str | None
    used: bool
    decision: StoredDecision | None = None
    effects: dict[tuple[str, str], SideEffect] = field(default_factory=dict)
    reports: dict[str, HandoverReport] = field(default_factory=dict)


@dataclass(slots=True)
class _Token:
    call_sid: str
    hop: int
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class _Record:
    expires_at: float
    hops: dict[int, _Hop] = field(default_factory=dict)
    tokens: list[bytes] = field(default_factory=list)
    end: CallEnd | None = None

    @property
    def last(self) -> _Hop:
        return self.hops[max(self.hops)]


class MemoryLedger:
    """``clock`` gives Unix seconds, ``make_token`` an unguessable URL-safe string.

    Holds at most ``limit`` calls: past it the oldest closed call goes, and with none closed a new
    one is refused.
    """

    def __init__(
        self, clock: Callable[[], float], make_token: Callable[[], str], limit: int = 50_000
    ) -> None:
        self._clock = clock
        self._make_token = make_token
        self._limit = limit
        # Both by the time they expire, soonest first, so that pruning looks only at what is due.
        self._open: OrderedDict[str, _Record] = OrderedDict()
        self._closed: OrderedDict[str, _Record] = OrderedDict()
        self._tokens: dict[bytes, _Token] = {}

    @property
    def calls_held(self) -> int:
        return len(self._open) + len(self._closed)

    async def open_call(
        self, opening: CallOpening, idempotency_key: str | None = None
    ) -> CallOpening:
        self._prune()
        record = self._find(opening.call_sid)
        if record is None:
            self._make_room()
            record = _Record(expires_at=self._clock() + OPEN_KEEP_S)
            self._open[opening.call_sid] = record
        elif (standing := _standing_hop(record, idempotency_key)) is not None:
            return standing.opening
        if len(record.hops) >= HOPS_PER_CALL:
            raise LedgerUnavailableError(f"call {opening.call_sid} came in {HOPS_PER_CALL} times")
        hop = max(opening.hop, max(record.hops, default=-1) + 1)
        opened = replace(opening, hop=hop, parameters=dict(opening.parameters))
        record.hops[hop] = _Hop(opened, idempotency_key, used=opening.entry == "bin")
        return opened

    async def mint_token(self, call_sid: str, ttl_s: float) -> str:
        record = self._held(call_sid)
        token = self._make_token()
        digest = _digest(token)
        self._tokens[digest] = _Token(call_sid, record.last.opening.hop, self._clock() + ttl_s)
        record.tokens.append(digest)
        if len(record.tokens) > TOKENS_PER_CALL:
            del self._tokens[record.tokens.pop(0)]
        return token

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        self._prune()
        held = self._tokens.get(_digest(token))
        if held is None:
            return Refusal("unknown_token")
        hop = self._held(held.call_sid).hops[held.hop]
        if not _same(held.call_sid, call_sid):
            return Refusal("call_mismatch")
        if not _same(hop.opening.account_sid, account_sid):
            return Refusal("account_mismatch")
        if held.used:
            return Refusal("used_token")
        if self._clock() >= held.expires_at:
            return Refusal("expired_token")
        held.used = hop.used = True
        return hop.opening

    async def token_call(self, token: str) -> CallOpening | None:
        self._prune()
        held = self._tokens.get(_digest(token))
        return None if held is None else self._held(held.call_sid).hops[held.hop].opening

    async def opening(self, call_sid: str) -> CallOpening | None:
        self._prune()
        record = self._find(call_sid)
        return None if record is None else record.last.opening

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        hop = self._hop(decision.call_sid, decision.hop)
        if hop.decision is None:
            hop.decision = decision
            hop.used = True
            _add(hop, effects)
        return hop.decision

    async def add_effects(self, call_sid: str, hop: int, effects: Sequence[SideEffect]) -> int:
        return _add(self._hop(call_sid, hop), effects)

    def effects(self, call_sid: str, hop: int = 0) -> tuple[SideEffect, ...]:
        """What was written for that hop. Kept to be looked at: nothing delivers it from here."""
        return tuple(self._hop(call_sid, hop).effects.values())

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        self._prune()
        record = self._find(call_sid)
        if record is None:
            return None
        wanted = record.last if hop is None else record.hops.get(hop)
        return None if wanted is None else wanted.decision

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        hop = self._hop(report.call_sid, report.hop)
        if report.key not in hop.reports:
            hop.reports[report.key] = report
            _add(hop, effects)
        return hop.reports[report.key]

    async def reports(self, call_sid: str, hop: int) -> Sequence[HandoverReport]:
        record = self._find(call_sid)
        held = None if record is None else record.hops.get(hop)
        return () if held is None else tuple(held.reports.values())

    async def close_call(self, end: CallEnd) -> bool:
        record = self._open.pop(end.call_sid, None)
        if record is None:
            return False
        record.end = end
        record.expires_at = self._clock() + CLOSED_KEEP_S
        self._closed[end.call_sid] = record
        self._prune()
        return True

    def _find(self, call_sid: str) -> _Record | None:
        return self._open.get(call_sid) or self._closed.get(call_sid)

    def _held(self, call_sid: str) -> _Record:
        record = self._find(call_sid)
        if record is None:
            raise UnknownCallError(f"no call {call_sid} is held")
        return record

    def _hop(self, call_sid: str, number: int) -> _Hop:
        hop = self._held(call_sid).hops.get(number)
        if hop is None:
            raise UnknownCallError(f"call {call_sid} has no hop {number}")
        return hop

    def _make_room(self) -> None:
        if self.calls_held < self._limit:
            return
        if not self._closed:
            raise LedgerUnavailableError(f"the ledger holds {self._limit} open calls, its limit")
        self._forget(*self._closed.popitem(last=False))

    def _prune(self) -> None:
        now = self._clock()
        for records in (self._open, self._closed):
            while records and next(iter(records.values())).expires_at <= now:
                self._forget(*records.popitem(last=False))

    def _forget(self, _call_sid: str, record: _Record) -> None:
        for digest in record.tokens:
            del self._tokens[digest]


def _standing_hop(record: _Record, idempotency_key: str | None) -> _Hop | None:
    """The hop that a repeated webhook asks for again, if this is one."""
    if idempotency_key is not None:
        for hop in record.hops.values():
            if hop.idempotency_key == idempotency_key:
                return hop
    if record.last.used or (idempotency_key and record.last.idempotency_key):
        return None
    return record.last


def _add(hop: _Hop, effects: Sequence[SideEffect]) -> int:
    before = len(hop.effects)
    for effect in effects:
        hop.effects.setdefault((effect.kind, effect.key), effect)
    return len(hop.effects) - before


def _digest(token: str) -> bytes:
    """Kept and looked up instead of the token: the time of a look-up tells nothing about it."""
    return hashlib.sha256(token.encode()).digest()


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
