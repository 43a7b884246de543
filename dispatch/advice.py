"""What a sound triage file may still get wrong: what never happens, never fits, or loops."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

from dispatch.attributes import pack
from dispatch.chain import NamedRoute
from dispatch.context import CallContext
from dispatch.crosscheck import Fault
from dispatch.decision import Decision
from dispatch.envelope import MAX_SUMMARY, Envelope
from dispatch.intents import Intent
from dispatch.policy import ANY_NUMBER, TenantPolicy
from dispatch.routes import (
    REACHES_PERSON,
    CallbackTaskRoute,
    DialRoute,
    FlexRoute,
    PageRoute,
    StudioReturnRoute,
    StudioTriggerRoute,
    static_attributes,
)
from dispatch.slots import LONGEST
from dispatch.text import ELLIPSIS
from dispatch.triggers import rank, shadowed_by
from dispatch.words import words


def advice(policy: TenantPolicy) -> Iterator[Fault]:
    """Every warning, with its place in the file."""
    yield from _digits(policy)
    yield from _triggers(policy)
    yield from _intents(policy)
    yield from _slots(policy)
    yield from _unused_routes(policy)
    yield from _loops(policy)
    yield from _human(policy)
    yield from _keys(policy)
    yield from _sizes(policy)
    yield from _languages(policy)
    yield from _rollout(policy)


def _digits(policy: TenantPolicy) -> Iterator[Fault]:
    taken = {policy.human.digit: "a person"} if policy.human.digit else {}
    for index, intent in enumerate(policy.intents):
        if intent.digit in taken:
            owner = taken[intent.digit]
            text = f"key {intent.digit} leads to {owner} already and never reaches {intent.name!r}"
            yield ("intent", index, "digit"), text
        elif intent.digit is not None:
            taken[intent.digit] = repr(intent.name)


def _triggers(policy: TenantPolicy) -> Iterator[Fault]:
    ordered = sorted(enumerate(policy.intents), key=lambda pair: rank(pair[1], policy))
    stronger: list[tuple[str, str]] = []
    for index, intent in ordered:
        for position, phrase in enumerate(intent.triggers):
            path = ("intent", index, "triggers", position)
            if not words(phrase):
                yield path, f"{phrase!r} holds no word and never fires"
                continue
            for owner, shorter in stronger:
                if shadowed_by(phrase, shorter):
                    text = f"whoever says {phrase!r} says {shorter!r} too, which leads to {owner!r}"
                    yield path, text
                    break
        stronger.extend((intent.name, phrase) for phrase in intent.triggers if words(phrase))


def _intents(policy: TenantPolicy) -> Iterator[Fault]:
    examples: dict[str, str] = {}
    first_emergency = policy.emergency_intent()
    for index, intent in enumerate(policy.intents):
        path = ("intent", index)
        if intent.threshold >= 1 and not (intent.triggers or intent.digit or intent.emergency):
            yield (
                (*path, "threshold"),
                f"confidence is hardly ever 1: nothing gets to {intent.name!r}",
            )
        if intent.emergency and first_emergency and intent is not first_emergency:
            text = f"escalations in an emergency go to {first_emergency.name!r} only"
            yield (*path, "emergency"), text
        if intent.name == policy.human.intent and intent.route != policy.human.route:
            text = f"differs from human.route ({policy.human.route!r}), where such wishes go"
            yield (*path, "route"), text
        for position, example in enumerate(intent.examples):
            other = examples.setdefault(" ".join(words(example)), intent.name)
            if other != intent.name:
                text = f"is an example of {other!r} too; the assistant cannot tell them apart"
                yield (*path, "examples", position), text


def _slots(policy: TenantPolicy) -> Iterator[Fault]:
    kinds: dict[str, tuple[str, str]] = {}
    for index, intent in enumerate(policy.intents):
        for position, slot in enumerate(intent.slots):
            kind, where = kinds.setdefault(slot.name, (slot.kind, intent.name))
            if kind != slot.kind:
                text = f"is {slot.kind!r}, but {slot.name!r} is {kind!r} in {where!r}; use one kind"
                yield ("intent", index, "slots", position, "kind"), text


def _unused_routes(policy: TenantPolicy) -> Iterator[Fault]:
    used: set[str | None] = set()
    for one in (policy.default, policy.human, *policy.intents):
        used.update((one.route, *one.on_failure))
    used.update(route.then for route in policy.routes.values() if isinstance(route, PageRoute))
    used.add(policy.guard.page)
    for name in policy.routes:
        if name not in used:
            yield ("routes", name), "nothing leads here"


def _loops(policy: TenantPolicy) -> Iterator[Fault]:
    entry = policy.entry
    for name, route in policy.routes.items():
        path = ("routes", name)
        match route:
            case StudioReturnRoute() if "studio" not in entry.via:
                text = "returns to a Studio flow, but by entry.via no call comes from one"
                yield (*path, "kind"), text
            case StudioReturnRoute(flow_sid=str(flow)) if entry.studio_flows:
                if flow not in entry.studio_flows:
                    text = "is not in entry.studio_flows; calls only return where they came from"
                    yield (*path, "flow_sid"), text
            case StudioTriggerRoute(flow_sid=flow) if flow in entry.studio_flows:
                text = "is a flow that sends us calls: they go round until the hop limit"
                yield (*path, "flow_sid"), text
            case DialRoute(number=str(number)) if number in policy.numbers:
                yield (*path, "number"), "is the number that callers dial: the call would loop"


def _human(policy: TenantPolicy) -> Iterator[Fault]:
    kind = policy.routes[policy.human.route].kind
    if kind not in REACHES_PERSON:
        yield ("human", "route"), f"a {kind} route reaches nobody while the caller is on the line"


def _keys(policy: TenantPolicy) -> Iterator[Fault]:
    for index, intent in enumerate(policy.intents):
        for position, slot in enumerate(intent.slots):
            if "-" in slot.name:
                yield ("intent", index, "slots", position, "name"), _hyphen(slot.name)
    for name, route in policy.routes.items():
        for key in static_attributes(route):
            if "-" in key:
                yield ("routes", name, "attributes", key), _hyphen(key)


def _hyphen(key: str) -> str:
    return f"a hyphen in an attribute key breaks workflow filters; use {key.replace('-', '_')!r}"


def _sizes(policy: TenantPolicy) -> Iterator[Fault]:
    """Packs the fullest possible call into each Task and looks at what had to go.

    Any call may end with a person or on the default route, whatever it was about.
    """
    ends = [one for way in (policy.default, policy.human) for one in (way.route, *way.on_failure)]
    told: set[str] = set()
    for index, intent in enumerate(policy.intents):
        for name in dict.fromkeys((intent.route, *intent.on_failure, *ends)):
            route = policy.routes[name]
            if not isinstance(route, FlexRoute | CallbackTaskRoute):
                continue
            decision = Decision(NamedRoute(name, route), intent.name, "route_requested", 1)
            gone = json.loads(pack(decision, _fullest(intent, policy))).get("cut", [])
            lost = [key for key in static_attributes(route) if key in gone or gone == [ELLIPSIS]]
            dropped = [slot.name for slot in intent.slots if slot.name in gone]
            if lost and name not in told:
                told.add(name)
                text = f"do not fit a Task; these get lost: {', '.join(lost)}"
                yield ("routes", name, "attributes"), text
            elif dropped and not lost:
                text = f"do not all fit a Task of {name!r}; may get lost: {', '.join(dropped)}"
                yield ("intent", index, "slots"), text


def _fullest(intent: Intent, policy: TenantPolicy) -> Envelope:
    now = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    number = "+" + "9" * 15
    slots = {slot.name: "x" * LONGEST[slot.kind] for slot in intent.slots}
    call = CallContext(
        "CA" + "0" * 32, "AC" + "0" * 32, policy.tenant, number, number, "studio", now
    )
    return Envelope(
        call=call,
        business=policy.business.name,
        home_language=policy.language,
        language=policy.language,
        intent=intent.name,
        reason="route_requested",
        summary="x" * MAX_SUMMARY,
        reference="TR-20000101-0001",
        hops=1,
        decided_at=now,
        confidence=0.99,
        name="x" * LONGEST["person_name"],
        callback=number,
        slots=slots,
    )


def _languages(policy: TenantPolicy) -> Iterator[Fault]:
    spoken = {tag.split("-")[0] for tag in policy.business.languages}
    for field in type(policy.lines).model_fields:
        line = getattr(policy.lines, field)
        for tag in line if isinstance(line, dict) else ():
            if tag.split("-")[0] not in spoken:
                yield ("lines", field, tag), f"{tag!r} is not one of business.languages"


def _rollout(policy: TenantPolicy) -> Iterator[Fault]:
    if ANY_NUMBER in policy.numbers:
        return
    for number in policy.rollout.numbers:
        if number not in policy.numbers:
            yield ("rollout", "numbers", number), "is not a number of this tenant: it never counts"
