"""Which of the file's routes one call can take, in the order to try them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dispatch.context import CallContext, is_e164
from dispatch.intents import Destination
from dispatch.policy import TenantPolicy
from dispatch.routes import (
    ENTERS_AUTOMATION,
    REACHES_PERSON,
    CallbackTaskRoute,
    DialRoute,
    PageRoute,
    Route,
    StudioExecutionRoute,
    StudioReturnRoute,
    StudioTriggerRoute,
)
from dispatch.slots import SlotValue


@dataclass(frozen=True, slots=True)
class NamedRoute:
    name: str
    route: Route


@dataclass(frozen=True, slots=True)
class Passed:
    """A route that was not taken, or was tried in vain, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What of a call decides which routes it can take. ``slots`` is all that was captured."""

    context: CallContext
    policy: TenantPolicy
    slots: Mapping[str, SlotValue]

    @property
    def hops(self) -> int:
        """Handovers of the call, this one included."""
        return self.context.hops + 1

    @property
    def over_the_limit(self) -> bool:
        return self.hops > self.policy.limits.hops


def usable_routes(
    destination: Destination, call: Circumstances
) -> tuple[list[NamedRoute], list[Passed]]:
    """The routes to try, in order, and those left out with the reason."""
    usable: list[NamedRoute] = []
    skipped: list[Passed] = []
    for name, is_human in _candidates(destination, call.policy):
        route = call.policy.routes[name]
        why = _round_again(route, is_human) if call.over_the_limit else None
        why = why or unusable(route, call)
        if why is None:
            usable.append(NamedRoute(name, route))
        else:
            skipped.append(Passed(name, why))
    return usable, skipped


def _candidates(destination: Destination, policy: TenantPolicy) -> Iterator[tuple[str, bool]]:
    """Route names in the order to try, each once, and whether it is there as the way to a person.

    The human route and what follows it end every chain, so that no failure leaves a caller alone.
    """
    human = (policy.human.route, *policy.human.on_failure)
    seen: set[str] = set()
    for name in (destination.route, *destination.on_failure, *human):
        if name not in seen:
            seen.add(name)
            yield name, name in human


def _round_again(route: Route, is_human: bool) -> str | None:
    """Past the hop limit only what ends with a person is left."""
    if route.kind in REACHES_PERSON or (is_human and route.kind not in ENTERS_AUTOMATION):
        return None
    return "hop_limit"


def unusable(route: Route, call: Circumstances) -> str | None:
    """Why this call cannot take ``route``; None where it can."""
    context = call.context
    match route:
        case StudioReturnRoute():
            return _no_way_back(route, context)
        case StudioTriggerRoute():
            return "inbound_calls_only" if context.direction == "outbound" else None
        case StudioExecutionRoute() | CallbackTaskRoute():
            return None if callback_number(call) else "no_number_to_call_back"
        case DialRoute(number=number) if number is not None:
            own = (context.to_number, context.from_number)
            return "would_dial_this_very_call" if number in own else None
        case _:
            return None


def _no_way_back(route: StudioReturnRoute, context: CallContext) -> str | None:
    if context.entry != "studio":
        return "call_not_from_studio"
    if route.flow_sid is None and context.studio_flow is None:
        return "studio_flow_unknown"
    if route.flow_sid and context.studio_flow and route.flow_sid != context.studio_flow:
        return "call_from_another_flow"
    return None


def callback_number(call: Circumstances) -> str | None:
    """The number to call back: what was captured, else the caller's own; None if withheld."""
    phones = [
        slot.name for intent in call.policy.intents for slot in intent.slots if slot.kind == "phone"
    ]
    preferred = ["callback"] if "callback" in phones else []
    for name in (*preferred, *phones):
        value = call.slots.get(name)
        if isinstance(value, str) and is_e164(value):
            return value
    return call.context.caller_number


def after_pages(chain: list[NamedRoute], call: Circumstances) -> dict[str, NamedRoute]:
    """What each page of the chain leads on to, by the page's name, where this call can take it."""
    following: dict[str, NamedRoute] = {}
    for named in chain:
        if isinstance(named.route, PageRoute) and named.route.then is not None:
            route = call.policy.routes[named.route.then]
            if unusable(route, call) is None:
                following[named.name] = NamedRoute(named.route.then, route)
    return following
