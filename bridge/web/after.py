"""``POST /after/{token}`` and ``/after``: the stream is over, where does the call go now?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bridge.config import Settings
from bridge.store.ledger import (
    CallOpening,
    HandoverReport,
    Ledger,
    LedgerUnavailableError,
    StoredDecision,
    UnknownCallError,
)
from bridge.web.documents import nothing
from bridge.web.fates import UNHEARD, Fates
from bridge.web.today import Origins, TodaysFlow
from bridge.web.webhook import Webhook

log = structlog.get_logger("bridge.web")

FINAL_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
FALLBACK_ROUTE = "fallback"
NO_DECISION = "no_decision"
ANSWERED = "after"
"""The report that keeps which request was told where a passage without a token goes."""
RECORDED_WITHIN_S = 0.5
"""The caller hears nothing meanwhile."""
LATE_BY_S = 0.4
"""A stream that was just lost: Twilio may ask sooner than the decision is written."""
LOOK_EVERY_S = 0.05


class After:
    """Answers from the ledger alone, so that every process answers the same."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], float],
        fates: Fates = UNHEARD,
    ) -> None:
        self._today = TodaysFlow(settings)
        self._ledger = ledger
        self._clock = clock
        self._wait_s = settings.limits.answer_wait_s
        self._fates = fates

    async def answer(self, webhook: Webhook, token: str | None) -> str:
        """The TwiML that was decided; without a decision today's flow, which is then the decision.

        Behind a static TwiML Bin there is no token, and the call's last passage is meant. Asked a
        second time, it is about a passage that we know nothing of: its stream was refused, or never
        reached us. The decision of the one before would send the caller round in circles.
        """
        opening = await self._opening(webhook, token)
        if opening is None:
            log.warning("after_unknown_call", call_sid=webhook.call_sid)
            origins = self._today.origins(webhook.account_sid, webhook.flow_sid)
            return self._today.twiml(origins, "unknown_call")
        decision = await self._ledger.decision(opening.call_sid, opening.hop)
        if decision is None:
            if webhook.field("CallStatus") in FINAL_STATUSES:
                return nothing()  # nobody is listening, and what happened is not known
            decision = await self._late(opening) or await self._fall_back(opening)
        if token is None and not await self._is_of_this_passage(decision, webhook):
            log.warning("after_unknown_passage", call_sid=opening.call_sid, hop=opening.hop)
            return self._today.twiml(Origins.of(opening), NO_DECISION)
        log.info(
            "after_answered",
            call_sid=opening.call_sid,
            hop=opening.hop,
            route=decision.route,
            reason=decision.reason,
        )
        return decision.twiml

    async def _opening(self, webhook: Webhook, token: str | None) -> CallOpening | None:
        if token is not None:
            opening = await self._ledger.token_call(token)
            if opening is not None and opening.call_sid == webhook.call_sid:
                return opening
        return await self._ledger.opening(webhook.call_sid)

    async def _is_of_this_passage(self, decision: StoredDecision, webhook: Webhook) -> bool:
        """Whether nobody was told of it yet, or only this request, which Twilio repeats."""
        now = self._clock()
        asked = webhook.idempotency_key or str(now)
        told = HandoverReport(
            call_sid=decision.call_sid,
            hop=decision.hop,
            key=ANSWERED,
            status="answered",
            at=now,
            fields={"asked": asked},
        )
        try:
            async with asyncio.timeout(RECORDED_WITHIN_S):
                stands = await self._ledger.report(told)
        except (LedgerUnavailableError, UnknownCallError, TimeoutError) as error:
            log.error("answer_not_recorded", call_sid=told.call_sid, error=str(error) or "slow")
            return True
        return stands.fields.get("asked") == asked

    async def _late(self, opening: CallOpening) -> StoredDecision | None:
        """The decision, where whoever holds the call was about to write it."""
        for _ in range(round(min(LATE_BY_S, self._wait_s / 2) / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            decision = await self._ledger.decision(opening.call_sid, opening.hop)
            if decision is not None:
                return decision
        return None

    async def _fall_back(self, opening: CallOpening) -> StoredDecision:
        fallback = StoredDecision(
            call_sid=opening.call_sid,
            hop=opening.hop,
            route=FALLBACK_ROUTE,
            intent=None,
            reason=NO_DECISION,
            twiml=self._today.twiml(Origins.of(opening), NO_DECISION),
            decided_at=self._clock(),
        )
        self._fates.lost(opening.tenant)
        try:
            async with asyncio.timeout(RECORDED_WITHIN_S):
                return await self._ledger.record_decision(fallback)
        except (LedgerUnavailableError, UnknownCallError, TimeoutError) as error:
            why = str(error) or "slow"
            log.error("fallback_not_recorded", call_sid=opening.call_sid, error=why)
            return fallback
