"""What is known of a call when it is handed over: one value that every destination draws from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from pydantic import TypeAdapter

from dispatch.chain import Circumstances, callback_number
from dispatch.context import CallContext
from dispatch.decision import Decision
from dispatch.outcome import (
    AssistantFailed,
    CallerLeft,
    DigitPressed,
    EscalationRequested,
    LimitReached,
    Outcome,
    PersonRequested,
    Resolved,
    RouteRequested,
    Sentiment,
    TriggerMatched,
    Urgency,
)
from dispatch.policy import TenantPolicy
from dispatch.slots import LONGEST, SlotValue
from dispatch.text import clean, cut

MAX_SUMMARY = 600
_MAX_QUOTE = 200


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything that may travel with a call. Independent of the route, so it outlives failures.

    ``reference`` is seen by the agent, and spoken to the caller where a route's words have
    ``{reference}`` in them (``TR-YYYYMMDD-NNNN``).
    ``context_url`` is the signed look-up of the full record, empty where there is none.
    """

    call: CallContext
    business: str
    home_language: str
    language: str
    intent: str
    reason: str
    summary: str
    reference: str
    hops: int
    decided_at: dt.datetime
    confidence: float | None = None
    sentiment: Sentiment = "neutral"
    urgency: Urgency = "normal"
    name: str | None = None
    callback: str | None = None
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    context_url: str = ""
    health_care: bool = False


_ADAPTER: TypeAdapter[Envelope] = TypeAdapter(Envelope)


def to_json(envelope: Envelope) -> str:
    """For the ledger; ``from_json`` gives the same envelope back."""
    return _ADAPTER.dump_json(envelope).decode()


def from_json(text: str | bytes) -> Envelope:
    return _ADAPTER.validate_json(text)


def reference(day: dt.date, number: int) -> str:
    """The reference of a call of that day. ``number`` has up to four digits."""
    return f"TR-{day:%Y%m%d}-{number:04d}"


def seal(
    decision: Decision,
    outcome: Outcome,
    context: CallContext,
    policy: TenantPolicy,
    *,
    reference: str,
    decided_at: dt.datetime,
) -> Envelope:
    """The envelope of a decided call; the look-up's address is put in where there is one."""
    requested = outcome if isinstance(outcome, RouteRequested) else None
    captured = {**context.known, **(requested.slots if requested else {})}
    slots = {name: _tidy(value) for name, value in captured.items()}
    call = Circumstances(context, policy, slots)
    spoken = requested.language if requested else None
    return Envelope(
        call=context,
        business=policy.business.name,
        home_language=policy.language,
        language=spoken or policy.language_for(context.language),
        intent=decision.intent,
        reason=decision.reason,
        summary=cut(clean(_summary(outcome, context)), MAX_SUMMARY),
        reference=reference,
        hops=decision.hops,
        decided_at=decided_at,
        confidence=requested.confidence if requested else None,
        sentiment=requested.sentiment if requested else "neutral",
        urgency=_urgency(outcome, decision, policy),
        name=_name(call),
        callback=callback_number(call),
        slots=slots,
        missing=requested.missing if requested else (),
        health_care=policy.business.health_care,
    )


def _tidy(value: SlotValue) -> SlotValue:
    return clean(value) if isinstance(value, str) else value


def _summary(outcome: Outcome, context: CallContext) -> str:
    """One or two sentences for whoever takes over; without the model, the caller's last words."""
    match outcome:
        case RouteRequested(summary=summary):
            return summary or f"The assistant gave no summary.{_last_words(context)}"
        case EscalationRequested(reason=reason):
            return reason or f"The assistant asked for a person.{_last_words(context)}"
        case Resolved(resolution=resolution):
            return resolution or f"Resolved on the line.{_last_words(context)}"
        case TriggerMatched(phrase=phrase):
            return _last_words(context).strip() or f'The caller said "{phrase}".'
        case DigitPressed(digit=digit):
            return f"The caller pressed {digit}.{_last_words(context)}"
        case PersonRequested():
            return f"The caller asked for a person.{_last_words(context)}"
        case LimitReached(kind=kind):
            return f"The assistant came to no decision ({kind}).{_last_words(context)}"
        case AssistantFailed(reason=reason):
            return f"The assistant failed ({reason}).{_last_words(context)}"
        case CallerLeft():
            return f"The caller hung up.{_last_words(context)}"
        case _:
            assert_never(outcome)


def _last_words(context: CallContext) -> str:
    said = [turn.text for turn in context.turns if turn.speaker == "caller" and turn.text.strip()]
    if not said:
        return ""
    return f' The caller said: "{cut(clean(said[-1]), _MAX_QUOTE)}"'


def _urgency(outcome: Outcome, decision: Decision, policy: TenantPolicy) -> Urgency:
    intent = policy.intent(decision.intent)
    if intent is not None and intent.emergency:
        return "emergency"
    if isinstance(outcome, RouteRequested | EscalationRequested):
        return outcome.urgency
    return "normal"


def _name(call: Circumstances) -> str | None:
    """The caller's name: slot ``name``, else the first slot that holds a person's name."""
    names = [
        slot.name
        for intent in call.policy.intents
        for slot in intent.slots
        if slot.kind == "person_name"
    ]
    for key in ("name", *names):
        value = call.slots.get(key)
        if isinstance(value, str) and value:
            return cut(value, LONGEST["person_name"])
    return None
