"""The end of a call's conversation.

One decision, sealed, rendered and written before the stream ends.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace

import orjson

from bridge.config import Settings
from bridge.legs.runner import Admission, Call
from bridge.store.ledger import (
    Ledger,
    LedgerUnavailableError,
    StoredDecision,
    UnknownCallError,
)
from bridge.web.today import Origins, TodaysFlow
from dispatch import decision as decisions
from dispatch import envelope as envelopes
from dispatch.context import CallContext, Turn
from dispatch.decision import LAST_RESORT, Decision, decide
from dispatch.envelope import Envelope
from dispatch.outcome import CallerLeft, Outcome
from dispatch.routes import VoicemailRoute
from dispatch.twiml import CallbackUrls, render

WRITTEN_WITHIN_S = 2.0
"""A caller hears silence while the decision is written; past this the stream ends without it."""


class Settler:
    """Decides, seals, renders and writes. What could not be written is kept for ``/after`` here."""

    def __init__(self, settings: Settings, ledger: Ledger, unix_time: Callable[[], float]) -> None:
        self._origin = settings.web.origin
        self._today = TodaysFlow(settings)
        self._ledger = ledger
        self._unix_time = unix_time

    async def settle(self, call: Call) -> None:
        """Write the one decision of this call. Never raises; trouble is logged."""
        admission = call.admission
        if admission is None:
            return
        stored = self._decided(call, admission, call.outcome or CallerLeft())
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                stored = await self._ledger.record_decision(stored)
        except (TimeoutError, LedgerUnavailableError, UnknownCallError) as error:
            call.log.error("decision_not_written", error=type(error).__name__)
        call.decided(stored)
        call.log.info(
            "call_decided", route=stored.route, intent=stored.intent, reason=stored.reason
        )

    async def run_tool(self, call: Call, name: str, arguments: Mapping[str, object]) -> str:
        """Look-ups are not set up."""
        return '{"ok":false,"problem":"this look-up is not available; go on without it"}'

    def _decided(self, call: Call, admission: Admission, outcome: Outcome) -> StoredDecision:
        opening, policy = admission.opening, admission.tenant.policy
        context = replace(admission.desk.context, turns=_turns(call))
        now = self._unix_time()
        decision = decide(outcome, context, policy)
        envelope = envelopes.seal(
            decision,
            outcome,
            context,
            policy,
            reference=_reference(context, now, admission),
            decided_at=dt.datetime.fromtimestamp(now, dt.UTC),
        )
        return StoredDecision(
            call_sid=opening.call_sid,
            hop=opening.hop,
            route=decision.route.kind,
            intent=decision.intent,
            reason=decision.reason,
            twiml=self._document(decision, envelope, admission),
            decided_at=now,
            decision=orjson.loads(decisions.to_json(decision)),
            envelope=orjson.loads(envelopes.to_json(envelope)),
        )

    def _document(self, decision: Decision, envelope: Envelope, admission: Admission) -> str:
        origins = Origins.of(admission.opening)
        nowhere = decision.chosen.name == LAST_RESORT
        people = admission.tenant.plain and isinstance(decision.route, VoicemailRoute)
        if (nowhere or people) and self._today.url(origins, decision.reason) is not None:
            return self._today.twiml(origins, decision.reason)
        return render(decision, envelope, self.urls(admission.opening.call_sid, envelope.hops - 1))

    def urls(self, call_sid: str, hop: int) -> CallbackUrls:
        """Where Twilio reports how the handover of this hop goes."""

        def url(name: str) -> str:
            return self._origin.url(f"/call/{call_sid}/{hop}/{name}")

        return CallbackUrls(
            action=url("action"),
            whisper=url("whisper"),
            accept=url("accept"),
            recording=url("recording"),
            transcription=url("transcription"),
        )


def _turns(call: Call) -> tuple[Turn, ...]:
    if call.session is None:
        return ()
    return tuple(Turn(who, text) for who, text in call.session.state.transcript.lines())


def _reference(context: CallContext, now: float, admission: Admission) -> str:
    """Spoken to the caller and seen by the agent.

    From the CallSid, so that every process agrees.
    """
    zone = admission.tenant.policy.zone
    day = dt.datetime.fromtimestamp(now, zone).date()
    return envelopes.reference(day, int(context.call_sid[-6:], 16) % 10_000)
