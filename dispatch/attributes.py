"""What travels with a call: Task attributes, Studio parameters, the full record.

Names and limits are those of Flex, TaskRouter and Studio; they are listed in names.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, TypeAlias
from urllib.parse import quote_plus

from dispatch.context import Turn
from dispatch.decision import Decision
from dispatch.envelope import Envelope
from dispatch.names import STUDIO_WORDS
from dispatch.routes import route_parameters, static_attributes
from dispatch.text import ELLIPSIS, clean, cut, width

TASK_LIMIT = 4096
"""Characters of a Task's attributes, whitespace included."""
SMALLEST_LIMIT = 400
"""Below this not even intent, callback and summary are sure to fit."""
INSIGHTS_LIMIT = 128
"""Characters of a Flex Insights field; more is cut by Flex without a mark."""
RETURN_LIMIT = 1500
"""Characters of the parameters on a Studio return address. Twilio states none; long URLs fail."""

_TURNS = 10
_MAX_TURN = 240
_FROM_ENVELOPE = frozenset({"name", "callback"})
_PASSED_ON = ("flex_", "ivr_")

Attributes: TypeAlias = dict[str, Any]


def pack(
    decision: Decision, envelope: Envelope, *, limit: int = TASK_LIMIT, live_call: bool = True
) -> str:
    """The JSON of a Task's attributes in at most ``limit`` characters.

    The least useful goes first: old turns, Insights, duplicates, what earlier menus chose. Intent,
    callback and summary stay. What was shortened ends with an ellipsis, and ``cut`` names what was
    shortened or left out, the most useful first, as far as there is room. ``live_call`` leaves out
    what Twilio adds to the Task of a call.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"limit is {limit}, expected at least {SMALLEST_LIMIT}")
    attributes = _all(decision, envelope, live_call)
    attributes["turns"], shortened = _last_turns(envelope.call.turns)
    marks: list[str] = ["turns"] if shortened else []
    text = _dump(attributes, marks, limit)
    for key, length in _steps(attributes, static_attributes(decision.route)):
        if width(text) <= limit:
            return text
        if _reduce(attributes, key, length) and key not in marks:
            marks.insert(0, key)
        text = _dump(attributes, marks, limit)
    # Only names that an operator chose too long for any Task can still be in the way.
    kept = {key: value for key, value in attributes.items() if key in _KEPT}
    return text if width(text) <= limit else _dump(kept, [ELLIPSIS], limit)


def full_record(decision: Decision, envelope: Envelope) -> Attributes:
    """Everything, uncut, for the signed look-up by call SID."""
    attributes = _all(decision, envelope, live_call=False)
    attributes["turns"] = [_turn(turn, None) for turn in envelope.call.turns]
    attributes["started_at"] = envelope.call.started_at.isoformat()
    return attributes


def handoff_data(decision: Decision, envelope: Envelope) -> dict[str, Any]:
    """The payload of Twilio Agent Connect's hand-off, as its "Agent Handoff" template reads it.

    There is no Orchestrator conversation behind a media stream; the call's SID stands for it.
    """
    packed: Attributes = json.loads(pack(decision, envelope, live_call=False))
    return {
        "conversationId": envelope.call.call_sid,
        "storeId": "",
        "profileId": "",
        "attributes": {**packed, "reason": envelope.reason},
    }


def return_parameters(
    decision: Decision, envelope: Envelope, *, limit: int = RETURN_LIMIT
) -> dict[str, str]:
    """What a Studio flow gets on its address: few, small, most important first.

    The values are plain; whoever builds the URL encodes them, to at most ``limit`` characters.
    """
    chosen: dict[str, str] = {}
    used = 0
    for key, value in _return_candidates(decision, envelope):
        if key in STUDIO_WORDS or key in chosen:
            continue
        size = len(quote_plus(key)) + len(quote_plus(value)) + 2
        if value and used + size <= limit:
            chosen[key] = value
            used += size
    return chosen


# --- everything that is known ---------------------------------------------------------------


def _all(decision: Decision, envelope: Envelope, live_call: bool) -> Attributes:
    """All attributes but the turns. Later ones win over earlier ones of the same name."""
    call = envelope.call
    attributes: Attributes = {
        **_passed_on(envelope),
        **{key: value for key, value in envelope.slots.items() if key not in _FROM_ENVELOPE},
        **{key: _safe(value) for key, value in static_attributes(decision.route).items()},
        "intent": envelope.intent,
        "summary": envelope.summary,
        "priority": decision.priority,
        "urgency": envelope.urgency,
        "language": envelope.language,
        "reference": envelope.reference,
        "hops": envelope.hops,
        "business": envelope.business,
        "entry": call.entry,
        "caller_number": clean(call.from_number),
        "called_number": clean(call.to_number),
        "triage_call_sid": call.call_sid,
        **_handoff(envelope),
        "conversations": _insights(decision, envelope),
    }
    optional: Attributes = {
        "name": envelope.name,
        "callback": envelope.callback,
        "queue": decision.queue,
        "ai_confidence": envelope.confidence,
        "missing": list(envelope.missing),
        "context_url": envelope.context_url,
    }
    attributes |= {key: value for key, value in optional.items() if value not in (None, "", [])}
    if not live_call:
        attributes |= {"call_sid": call.call_sid, "from": clean(call.from_number)}
        attributes |= {"to": clean(call.to_number), "direction": call.direction}
    return attributes


def _passed_on(envelope: Envelope) -> Attributes:
    """Earlier choices of the caller, as they came but for characters no document can hold."""
    return {
        clean(key): clean(value)
        for key, value in envelope.call.parameters.items()
        if key.startswith(_PASSED_ON)
    }


def _safe(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _handoff(envelope: Envelope) -> Attributes:
    return {
        "handedOff": True,
        "handoffReason": envelope.reason,
        "handoffSummary": envelope.summary,
        "handoffSentiment": envelope.sentiment,
        "handoffLanguage": envelope.language,
        "handoffTimestamp": envelope.decided_at.isoformat(timespec="seconds"),
    }


def _insights(decision: Decision, envelope: Envelope) -> Attributes:
    """For Flex Insights. No words of the call where health care rules forbid them there."""
    seconds = (envelope.decided_at - envelope.call.started_at).total_seconds()
    fields: Attributes = {
        "conversation_id": envelope.call.call_sid,
        "conversation_attribute_1": envelope.intent,
        "conversation_attribute_2": envelope.reason,
        "conversation_attribute_3": envelope.urgency,
        "ivr_path": f"triage/{envelope.intent}/{decision.chosen.name}",
        "ivr_time": max(0, round(seconds)),
        "language": envelope.language,
        "initiated_by": "Customer",
    }
    if envelope.confidence is not None:
        fields["conversation_measure_1"] = round(envelope.confidence * 100)
    if decision.queue:
        fields["queue"] = decision.queue
    if not envelope.health_care:
        fields["content"] = envelope.summary
    return {
        key: cut(value, INSIGHTS_LIMIT) if isinstance(value, str) else value
        for key, value in fields.items()
    }


def _last_turns(turns: tuple[Turn, ...]) -> tuple[list[Attributes], bool]:
    """The last ten turns, oldest first, and whether one of them was cut."""
    last = [_turn(turn, _MAX_TURN) for turn in turns[-_TURNS:]]
    shortened = any(width(clean(turn.text)) > _MAX_TURN for turn in turns[-_TURNS:])
    return last, shortened


def _turn(turn: Turn, limit: int | None) -> Attributes:
    text = clean(turn.text)
    return {"who": turn.speaker, "text": text if limit is None else cut(text, limit)}


# --- making it fit --------------------------------------------------------------------------

_KEPT = frozenset({"intent", "callback", "summary"})
_OLDEST = -1
_DROP = 0

# In this order, after the turns and before what the caller gave us.
_DUPLICATES = (
    ("conversations", _DROP),
    ("handoffSummary", 160),
    ("business", _DROP),
    ("entry", _DROP),
    ("called_number", _DROP),
    ("handoffSummary", _DROP),
)
# The last that goes, least useful first; intent, callback and summary are not among it.
_NEEDED = (
    ("summary", 160),
    ("missing", _DROP),
    ("handoffTimestamp", _DROP),
    ("handoffSentiment", _DROP),
    ("handoffLanguage", _DROP),
    ("hops", _DROP),
    ("direction", _DROP),
    ("context_url", _DROP),
    ("urgency", _DROP),
    ("language", _DROP),
    ("ai_confidence", _DROP),
    ("handoffReason", _DROP),
    ("caller_number", _DROP),
    ("to", _DROP),
    ("from", _DROP),
)
_LAST = (
    ("summary", 60),
    ("name", 40),
    ("reference", _DROP),
    ("triage_call_sid", _DROP),
    ("handedOff", _DROP),
    ("name", _DROP),
    ("priority", _DROP),
    ("queue", _DROP),
    ("call_sid", _DROP),
)
_OURS = frozenset({*_KEPT, "turns", *(key for key, _ in (*_DUPLICATES, *_NEEDED, *_LAST))})


def _steps(attributes: Attributes, static: Collection[str]) -> Iterator[tuple[str, int]]:
    """What to take away, least useful first: (key, length to cut to, or _DROP, or _OLDEST).

    The ``static`` ones outlast what was captured, since workflows route by them.
    """
    yield from [("turns", _OLDEST)] * len(attributes["turns"])
    yield from _DUPLICATES
    others = [key for key in attributes if key not in _OURS]
    by_size = sorted(others, key=lambda key: (key in static, -len(json.dumps(attributes[key]))))
    yield from ((key, _DROP) for key in by_size if key.startswith(_PASSED_ON))
    yield from _NEEDED
    yield from ((key, _DROP) for key in by_size if not key.startswith(_PASSED_ON))
    yield from _LAST


def _reduce(attributes: Attributes, key: str, length: int) -> bool:
    """Whether this step took something away."""
    value = attributes.get(key)
    if value is None:
        return False
    if length == _OLDEST:
        value.pop(0)
        if not value:
            del attributes[key]
        return True
    if length == _DROP:
        del attributes[key]
        return True
    shorter = cut(value, length)
    attributes[key] = shorter
    return bool(shorter != value)


def _dump(attributes: Attributes, marks: list[str], limit: int) -> str:
    marked = {**attributes, "cut": _few(marks, limit // 8)} if marks else attributes
    slim = {key: value for key, value in marked.items() if value != []}
    return json.dumps(slim, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _few(marks: list[str], room: int) -> list[str]:
    """As many as ``room`` characters take; an ellipsis stands for the rest."""
    for count, mark in enumerate(marks):
        room -= width(mark) + 3
        if room < 0:
            return [*marks[:count], ELLIPSIS]
    return marks


# --- back to Studio -------------------------------------------------------------------------


def _return_candidates(decision: Decision, envelope: Envelope) -> Iterator[tuple[str, str]]:
    yield "intent", envelope.intent
    yield "reference", envelope.reference
    yield "callback", envelope.callback or ""
    yield "name", envelope.name or ""
    yield "reason", envelope.reason
    yield from route_parameters(decision.route).items()
    yield "priority", str(decision.priority)
    yield "urgency", envelope.urgency
    yield "language", envelope.language
    yield "hops", str(envelope.hops)
    if envelope.confidence is not None:
        yield "ai_confidence", f"{envelope.confidence:g}"
    yield "sentiment", envelope.sentiment
    yield "missing", ",".join(envelope.missing)
    yield "context_url", envelope.context_url
    yield from ((key, clean(str(value))) for key, value in envelope.slots.items())
    yield "summary", cut(envelope.summary, 200)
    yield from ((key, str(value)) for key, value in _passed_on(envelope).items())
