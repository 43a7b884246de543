"""A ledger that still knows this process's own calls while its database is away.

What was read or decided here is kept, bounded, and answered from where the database gives no
answer. A decision that was written stands for good, so that it can be told from memory; one that
could not be written is written as soon as somebody asks for it again. Of the latter only those that
want nothing done are kept: what nobody delivers must not be promised to a caller.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from bridge.store.ledger import (
    CallEnd,
    CallOpening,
    HandoverReport,
    Ledger,
    LedgerUnavailableError,
    Refusal,
    SideEffect,
    StoredDecision,
)

READ_WITHIN_S = 0.6
"""A caller hears nothing meanwhile; past this the database counts as away."""
WRITTEN_WITHIN_S = 0.2
"""The same for a decision that could not be written before: a store that is well again takes far
less, and whoever is asked twice does not let a caller wait twice."""
REMEMBERED = 2000
"""Calls; far more than a process has at once."""
DECISIONS_REMEMBERED = 500
"""Of those that were written, each with its whole envelope. They are asked for within seconds, and
by what follows a route that failed; the database knows them again long before there are so many."""

_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


class RememberingLedger:
    """In front of ``inner``, of which it is one."""

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner
        self._by_token: OrderedDict[str, CallOpening] = OrderedDict()
        self._by_call: OrderedDict[str, CallOpening] = OrderedDict()
        self._unwritten: OrderedDict[tuple[str, int], StoredDecision] = OrderedDict()
        self._written: OrderedDict[tuple[str, int], StoredDecision] = OrderedDict()

    async def open_call(
        self, opening: CallOpening, idempotency_key: str | None = None
    ) -> CallOpening:
        return await self._inner.open_call(opening, idempotency_key)

    async def mint_token(self, call_sid: str, ttl_s: float) -> str:
        return await self._inner.mint_token(call_sid, ttl_s)

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        found = await self._inner.redeem_token(token, call_sid, account_sid)
        if isinstance(found, CallOpening):
            _keep(self._by_token, token, found)
            _keep(self._by_call, call_sid, found)
        return found

    async def token_call(self, token: str) -> CallOpening | None:
        try:
            return await _within(READ_WITHIN_S, self._inner.token_call(token))
        except LedgerUnavailableError:
            if token in self._by_token:
                return self._by_token[token]
            raise

    async def opening(self, call_sid: str) -> CallOpening | None:
        try:
            return await _within(READ_WITHIN_S, self._inner.opening(call_sid))
        except LedgerUnavailableError:
            if call_sid in self._by_call:
                return self._by_call[call_sid]
            raise

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        key = (decision.call_sid, decision.hop)
        if not effects:  # before the wait: whoever waits may give up
            _keep(self._unwritten, key, decision)
        stands = await self._inner.record_decision(decision, effects)
        self._unwritten.pop(key, None)
        _keep(self._written, key, stands, DECISIONS_REMEMBERED)
        return stands

    async def add_effects(self, call_sid: str, hop: int, effects: Sequence[SideEffect]) -> int:
        return await self._inner.add_effects(call_sid, hop, effects)

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        try:
            stored = await _within(READ_WITHIN_S, self._inner.decision(call_sid, hop))
        except LedgerUnavailableError:
            known = self._standing(call_sid, hop) or self._own(call_sid, hop)
            if known is None:
                raise
            return known
        known = self._own(call_sid, hop) if stored is None else None
        if known is None:
            return stored
        try:
            return await _within(WRITTEN_WITHIN_S, self.record_decision(known))
        except LedgerUnavailableError:
            return known

    def _standing(self, call_sid: str, hop: int | None) -> StoredDecision | None:
        """What was written from here. A later hop than these may have been decided elsewhere."""
        return None if hop is None else self._written.get((call_sid, hop))

    def _own(self, call_sid: str, hop: int | None) -> StoredDecision | None:
        """What was decided here and could not be written."""
        if hop is not None:
            return self._unwritten.get((call_sid, hop))
        hops = [number for sid, number in self._unwritten if sid == call_sid]
        return self._unwritten[call_sid, max(hops)] if hops else None

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        return await self._inner.report(report, effects)

    async def reports(self, call_sid: str, hop: int) -> Sequence[HandoverReport]:
        return await _within(READ_WITHIN_S, self._inner.reports(call_sid, hop))

    async def close_call(self, end: CallEnd) -> bool:
        return await self._inner.close_call(end)


async def _within(seconds: float, asked: Awaitable[_Kept]) -> _Kept:
    """Raises LedgerUnavailableError where no answer comes in time."""
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError:
        raise LedgerUnavailableError("the database is too slow now", "slow") from None


def _keep(
    kept: OrderedDict[_Key, _Kept], key: _Key, value: _Kept, at_most: int = REMEMBERED
) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > at_most:
        kept.popitem(last=False)
