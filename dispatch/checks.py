"""What the model says in its tool calls, checked where it enters.

Whatever the arguments hold, only intents of the file come out, and values of the slots' own kinds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_args

import jsonschema
import orjson

from dispatch.context import CallContext
from dispatch.intents import UNKNOWN_INTENT, Intent
from dispatch.lookups import LookupTool
from dispatch.outcome import EscalationRequested, Resolved, RouteRequested, Sentiment, Urgency
from dispatch.policy import TenantPolicy
from dispatch.slots import (
    CALLER_ID,
    BadSlotError,
    EmptySlotError,
    Slot,
    SlotValue,
    read_slot,
    region_of,
)
from dispatch.text import clean, cut, language_tag

MAX_ARGUMENTS_CHARS = 20_000
MAX_SUMMARY = 600
MAX_REASON = 300
MAX_FAULTS = 2
"""Refusals of one call's ``route_call``; then the call goes on with the gap named."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often this call's tool calls were refused; hand back what the last ToolFault carried."""

    faults: int = 0
    unsure: int = 0


@dataclass(frozen=True, slots=True)
class ToolFault:
    """The tool call is refused. ``message`` tells the model what to do, ``faults`` names fields.

    ``known`` are the slots that were sound; keep them with the call's context.
    """

    message: str
    faults: tuple[str, ...]
    tries: Tries
    known: Mapping[str, SlotValue] = field(default_factory=dict)

    def output(self) -> str:
        """The JSON for ``function_call_output``."""
        return orjson.dumps({"ok": False, "problem": self.message}).decode()


def check_route_call(
    arguments: str,
    policy: TenantPolicy,
    context: CallContext,
    today: dt.date,
    tries: Tries = Tries(),
) -> RouteRequested | ToolFault:
    """The model's decision, or what to tell it: at most two refusals for faults, one for doubt.

    After those, whatever is usable goes on with the gaps named in ``missing``. ``today`` is the
    date where the business is.
    """
    given = _read_object(arguments)
    if isinstance(given, str):
        return _refuse_or_give_up(given, "arguments", {}, tries)
    intent = policy.intent(given["intent"]) if isinstance(given.get("intent"), str) else None
    if intent is None:
        known = ", ".join(one.name for one in policy.intents)
        return _refuse_or_give_up(f"intent must be one of: {known}", "intent", given, tries)
    last_try = tries.faults >= MAX_FAULTS or intent.emergency
    slots = _Slots(policy, intent, context, today, lenient=last_try)
    slots.read(given.get("slots"))
    requested = _requested(given, intent, slots.values)
    doubtful = requested.confidence < intent.threshold and not intent.emergency
    if doubtful and tries.unsure == 0:
        again = replace(tries, unsure=1)
        return ToolFault(_ASK_AGAIN, ("confidence",), again, slots.values)
    faults = slots.faults | _own_faults(requested)
    # Once in doubt twice a person takes over, who can ask; an emergency waits for nothing.
    if faults and not last_try and not doubtful:
        message = "; ".join(faults.values()) + ". Then call route_call again."
        return ToolFault(message, tuple(faults), _one_more(tries), slots.values)
    return replace(requested, missing=tuple(faults))


_ASK_AGAIN = (
    "You are not sure enough what the caller wants. Ask one short question, then call route_call"
    " again; if it stays unclear, call it all the same."
)


def check_escalate(arguments: str) -> EscalationRequested:
    """A wish for a person is never refused, however badly it is put."""
    given = _read_object(arguments)
    if isinstance(given, str):
        return EscalationRequested(reason="")
    return EscalationRequested(
        reason=_text(given.get("reason"), MAX_REASON),
        urgency=_one_of(given.get("urgency"), _URGENCIES, "normal"),
    )


def check_end_call(
    arguments: str,
    policy: TenantPolicy,
    tries: Tries = Tries(),
) -> Resolved | ToolFault:
    """The call was resolved on the line, or what to tell the model."""
    given = _read_object(arguments)
    problem = given if isinstance(given, str) else None
    values = {} if isinstance(given, str) else given
    resolution = _text(values.get("resolution"), MAX_REASON)
    if problem is None and not resolution:
        problem = "resolution must say in one sentence how the caller was helped"
    if problem is not None and tries.faults < MAX_FAULTS:
        return ToolFault(problem, ("resolution",), _one_more(tries))
    name = values.get("intent")
    intent = policy.intent(name) if isinstance(name, str) else None
    return Resolved(resolution, intent.name if intent else None)


def check_lookup(
    arguments: str,
    tool: LookupTool,
    tries: Tries = Tries(),
) -> dict[str, Any] | ToolFault:
    """The arguments of an operator's look-up as its schema has them, or what to tell the model."""
    given = _read_object(arguments)
    if isinstance(given, str):
        return ToolFault(given, ("arguments",), _one_more(tries))
    known = tool.parameters.get("properties", {})
    values = {key: value for key, value in given.items() if key in known}
    faults: dict[str, str] = {}
    for fault in jsonschema.Draft202012Validator(tool.parameters).iter_errors(values):
        where = ".".join(map(str, fault.absolute_path)) or "arguments"
        faults.setdefault(where, cut(clean(f"{where}: {fault.message}"), 200))
    if faults:
        return ToolFault("; ".join(faults.values()), tuple(faults), _one_more(tries))
    return values


# --- reading --------------------------------------------------------------------------------


def _read_object(arguments: str) -> dict[str, Any] | str:
    """The JSON object, or words for the model on why it is none."""
    if len(arguments) > MAX_ARGUMENTS_CHARS:
        return f"the arguments are too long (over {MAX_ARGUMENTS_CHARS} characters)"
    try:
        value = orjson.loads(arguments)
    except ValueError:  # also lone surrogates, NaN and nesting beyond any use
        return "the arguments are not valid JSON"
    return value if isinstance(value, dict) else "the arguments must be a JSON object"


def _requested(
    given: Mapping[str, Any], intent: Intent, slots: Mapping[str, SlotValue]
) -> RouteRequested:
    return RouteRequested(
        intent=intent.name,
        summary=_text(given.get("summary"), MAX_SUMMARY),
        confidence=_confidence(given.get("confidence")),
        sentiment=_one_of(given.get("sentiment"), _SENTIMENTS, "neutral"),
        language=_language(given.get("language")),
        urgency=_one_of(given.get("urgency"), _URGENCIES, "normal"),
        slots=slots,
    )


def _own_faults(requested: RouteRequested) -> dict[str, str]:
    if requested.summary:
        return {}
    return {"summary": "summary must say in one or two sentences what the caller wants"}


def _refuse_or_give_up(
    problem: str, name: str, given: Mapping[str, Any], tries: Tries
) -> RouteRequested | ToolFault:
    if tries.faults < MAX_FAULTS:
        return ToolFault(f"{problem}. Then call route_call again.", (name,), _one_more(tries))
    summary = _text(given.get("summary"), MAX_SUMMARY)
    return RouteRequested(UNKNOWN_INTENT, summary, 0.0, missing=("intent",))


def _one_more(tries: Tries) -> Tries:
    return replace(tries, faults=tries.faults + 1)


class _Slots:
    """Reads the captured values: sound ones into ``values``, problems by slot into ``faults``."""

    def __init__(
        self,
        policy: TenantPolicy,
        intent: Intent,
        context: CallContext,
        today: dt.date,
        *,
        lenient: bool,
    ) -> None:
        self._policy = policy
        self._intent = intent
        self._caller = context.caller_number
        self._today = today
        self._region = region_of(context.to_number, policy.business.region)
        self._lenient = lenient
        self.values: dict[str, SlotValue] = dict(context.known)
        self.faults: dict[str, str] = {}

    def read(self, given: object) -> None:
        """Slots of other intents are kept where sound and never asked for; unknown ones dropped."""
        values = given if isinstance(given, dict) else {}
        own = {slot.name for slot in self._intent.slots}
        for slot in self._intent.slots:
            self._read_one(slot, values.get(slot.name))
        for name in values.keys() - own:
            other = self._policy.slot(self._intent.name, name)
            if other is not None:
                self._read_one(other, values[name])
                self.faults.pop(name, None)

    def _read_one(self, slot: Slot, value: object) -> None:
        try:
            self.values[slot.name] = self._value(slot, value)
        except EmptySlotError:
            if slot.required and slot.name not in self.values:
                ask = f"; you may ask: {slot.ask!r}" if slot.ask else "; ask for it"
                self.faults[slot.name] = f"{slot.name} is missing{ask}"
        except BadSlotError as fault:
            self.faults[slot.name] = str(fault)

    def _value(self, slot: Slot, value: object) -> SlotValue:
        if slot.kind == "phone" and value == CALLER_ID:
            if self._caller is None:
                raise BadSlotError(
                    f"{slot.name}: the caller's own number is withheld; ask for a number"
                )
            return self._caller
        return read_slot(slot, value, region=self._region, today=self._today, lenient=self._lenient)


_SENTIMENTS: tuple[Sentiment, ...] = get_args(Sentiment)
_URGENCIES: tuple[Urgency, ...] = get_args(Urgency)
_Word = TypeVar("_Word", bound=str)


def _one_of(value: object, allowed: tuple[_Word, ...], default: _Word) -> _Word:
    return next((word for word in allowed if word == value), default)


def _text(value: object, limit: int) -> str:
    return cut(clean(value), limit) if isinstance(value, str) else ""


def _confidence(value: object) -> float:
    """From 0 to 1; what is no such number is no confidence at all."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return 0.0
    return float(value)


def _language(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > 35:
        return None
    try:
        return language_tag(value)
    except ValueError:
        return None
