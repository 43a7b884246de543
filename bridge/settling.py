"""The end of a call's conversation.

One decision, sealed, rendered and written, with what it wants done, before the stream ends.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson

from bridge.callbacks import callback_urls
from bridge.config import Settings
from bridge.delivering import to_store
from bridge.errors import TriageBridgeError
from bridge.legs.runner import Admission, Call
from bridge.store.ledger import (
    Ledger,
    SideEffect,
    StoredDecision,
)
from bridge.web.context import context_links
from bridge.web.handover import without_effects
from bridge.web.today import Origins, TodaysFlow
from dispatch import decision as decisions
from dispatch import envelope as envelopes
from dispatch.context import CallContext, Turn
from dispatch.decision import LAST_RESORT, Decision, decide
from dispatch.effects import look_backs, side_effects
from dispatch.envelope import Envelope
from dispatch.lookup_client import LookupClient
from dispatch.outcome import CallerLeft, Outcome
from dispatch.rest import TwilioRest
from dispatch.rest_client import RestError
from dispatch.routes import VoicemailRoute
from dispatch.twiml import INLINE_LIMIT, render

WRITTEN_WITHIN_S = 1.0
"""A caller hears silence while the decision is written; past this the stream ends without it."""
MOVED_WITHIN_S = 1.5
STREAM_OVER_WITHIN_S = 5.0
"""So long after a REST update Twilio takes to end the stream. Were we to close it ourselves before,
the call could go to its old document's next verb."""
NO_LOOKUP = '{"ok":false,"problem":"this look-up is not available; go on without it"}'


@dataclass(frozen=True, slots=True)
class Settled:
    """What was decided for a call, and all that follows from it."""

    decision: Decision
    envelope: Envelope
    stored: StoredDecision
    effects: tuple[SideEffect, ...]


class Settler:
    """Decides, seals, renders and writes.

    ``rest`` is the second road for a call whose decision cannot be written; ``effects_written`` is
    called when there is something to deliver.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        unix_time: Callable[[], float],
        *,
        lookups: LookupClient | None = None,
        rest: TwilioRest | None = None,
        effects_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._origin = settings.web.origin
        self._today = TodaysFlow(settings)
        self._links = context_links(settings)
        self._ledger = ledger
        self._unix_time = unix_time
        self._lookups = lookups
        self._rest = rest
        self._effects_written = effects_written

    async def settle(self, call: Call) -> None:
        """Write the one decision of this call. Never raises; trouble is logged."""
        admission = call.admission
        if admission is None:
            return
        settled = self._settled(call, admission, call.outcome or CallerLeft())
        stored = settled.stored
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                stored = await self._ledger.record_decision(stored, settled.effects)
        except (TimeoutError, TriageBridgeError) as error:
            call.log.error("decision_not_written", error=type(error).__name__)
            call.written = False
            stored = await self._second_road(call, admission, settled)
        else:
            if settled.effects:
                self._effects_written()
        call.decided(stored)
        call.log.info(
            "call_decided", route=stored.route, intent=stored.intent, reason=stored.reason
        )

    async def run_tool(self, call: Call, name: str, arguments: Mapping[str, object]) -> str:
        """One of the operator's look-ups; whatever goes wrong, an answer for the model."""
        tool = None if call.admission is None else call.admission.tenant.policy.tool(name)
        if tool is None or self._lookups is None:
            return NO_LOOKUP
        started_at = self._unix_time()
        answer = await self._lookups.ask(tool, arguments)
        took_ms = round((self._unix_time() - started_at) * 1000)
        told = call.log.info if answer.outcome == "ok" else call.log.warning
        told("lookup", tool=name, outcome=answer.outcome, took_ms=took_ms, cut=answer.cut)
        return answer.output

    # --- deciding ------------------------------------------------------------------------------

    def _settled(self, call: Call, admission: Admission, outcome: Outcome) -> Settled:
        policy = admission.tenant.policy
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
        envelope = replace(envelope, context_url=self._links.url(context.call_sid, now))
        stored = self._stored(decision, envelope, admission)
        wanted = side_effects(decision, envelope)
        left = call.session is not None and call.session.state.caller_left
        if self._rest is not None and not left:  # no Task is made of a call that is over
            wanted += look_backs(decision, envelope)
        return Settled(decision, envelope, stored, to_store(wanted))

    def _stored(
        self, decision: Decision, envelope: Envelope, admission: Admission
    ) -> StoredDecision:
        opening = admission.opening
        return StoredDecision(
            call_sid=opening.call_sid,
            hop=opening.hop,
            route=decision.route.kind,
            intent=decision.intent,
            reason=decision.reason,
            twiml=self._document(decision, envelope, admission),
            decided_at=envelope.decided_at.timestamp(),
            decision=orjson.loads(decisions.to_json(decision)),
            envelope=orjson.loads(envelopes.to_json(envelope)),
        )

    def _document(
        self,
        decision: Decision,
        envelope: Envelope,
        admission: Admission,
        limit: int | None = None,
    ) -> str:
        origins = Origins.of(admission.opening)
        nowhere = decision.chosen.name == LAST_RESORT
        people = admission.tenant.plain and isinstance(decision.route, VoicemailRoute)
        if (nowhere or people) and self._today.url(origins, decision.reason) is not None:
            return self._today.twiml(origins, decision.reason)
        opening = admission.opening
        urls = callback_urls(self._origin, opening.call_sid, opening.hop, flow_sid=opening.flow_sid)
        return render(decision, envelope, urls, limit=limit)

    # --- when the decision cannot be written ---------------------------------------------------

    async def _second_road(
        self, call: Call, admission: Admission, settled: Settled
    ) -> StoredDecision:
        """Move the call by REST, as far as that needs nothing written; else it falls back."""
        decision = without_effects(settled.decision, settled.envelope)
        stored = self._stored(decision, settled.envelope, admission)
        if self._rest is None or isinstance(call.outcome, CallerLeft | None):
            return stored
        try:
            document = self._document(decision, settled.envelope, admission, INLINE_LIMIT)
            async with asyncio.timeout(MOVED_WITHIN_S):
                moved = await self._rest.move_call(stored.call_sid, document)
            if moved == "moved":
                await call.stream_over(STREAM_OVER_WITHIN_S)
            call.log.warning("call_moved_by_rest", result=moved)
        except (TimeoutError, RestError, ValueError) as error:
            call.log.error("call_not_moved", error=str(error) or type(error).__name__)
        return stored


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
