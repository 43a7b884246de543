"""The decision: one pure function from how a conversation ended to where the call goes now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from pydantic import TypeAdapter

from dispatch.chain import Circumstances, NamedRoute, Passed, after_pages, usable_routes
from dispatch.context import CallContext
from dispatch.intents import UNKNOWN_INTENT, Destination, Intent
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
    TriggerMatched,
)
from dispatch.policy import TenantPolicy
from dispatch.routes import CallbackTaskRoute, FlexRoute, PageRoute, ResolveRoute, Route

GOODBYE = "goodbye"
CALLER_LEFT = "caller_left"
LAST_RESORT = "unreachable"
"""Names of the routes that exist without being in the file; none of them leads anywhere."""
BUILT_IN_ROUTES = frozenset({GOODBYE, CALLER_LEFT, LAST_RESORT})


@dataclass(frozen=True, slots=True)
class Decision:
    """Where the call goes, why, and what to try next. Complete in itself: it survives a reload.

    ``reason`` is one of a few snake_case words; ``detail`` is free text (a phrase, the model's own
    reason). ``hops`` includes this handover.
    """

    chosen: NamedRoute
    intent: str
    reason: str
    hops: int
    detail: str = ""
    stated_priority: int | None = None
    on_failure: tuple[NamedRoute, ...] = ()
    skipped: tuple[Passed, ...] = ()
    failed: tuple[Passed, ...] = ()
    after_pages: Mapping[str, NamedRoute] = field(default_factory=dict)
    """What pages of the chain lead on to, by the page's name."""

    @property
    def route(self) -> Route:
        return self.chosen.route

    def after_page(self) -> Decision | None:
        """The decision for a caller who goes on after a page; None where the call ends there.

        Where that route was tried in vain already, they go on with the rest of the chain.
        """
        following = self.after_pages.get(self.chosen.name)
        if following is None:
            return None
        failed = {passed.name for passed in self.failed}
        if following.name in failed:
            rest = (one for one in self.on_failure if not isinstance(one.route, PageRoute))
            following = next((one for one in rest if one.name not in failed), _LAST)
        rest_of_chain = tuple(one for one in self.on_failure if one.name != following.name)
        return replace(self, chosen=following, on_failure=rest_of_chain)

    @property
    def priority(self) -> int:
        """Of the intent where it states one, else of the route."""
        if self.stated_priority is not None:
            return self.stated_priority
        match self.route:
            case FlexRoute(priority=priority) | CallbackTaskRoute(priority=priority):
                return priority
            case _:
                return 0

    @property
    def queue(self) -> str:
        match self.route:
            case FlexRoute(queue=queue) | CallbackTaskRoute(queue=queue):
                return queue
            case _:
                return ""


_ADAPTER: TypeAdapter[Decision] = TypeAdapter(Decision)


def to_json(decision: Decision) -> str:
    """For the ledger; ``from_json`` gives the same decision back."""
    return _ADAPTER.dump_json(decision).decode()


def from_json(text: str | bytes) -> Decision:
    return _ADAPTER.validate_json(text)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the outcome alone asks for, before the call's own circumstances are looked at."""

    destination: Destination
    intent: str
    reason: str
    detail: str = ""


def decide(outcome: Outcome, context: CallContext, policy: TenantPolicy) -> Decision:
    """Exactly one decision for any outcome. Never raises for a sound policy."""
    hops = context.hops + 1
    match outcome:
        case CallerLeft():
            gone = NamedRoute(CALLER_LEFT, ResolveRoute(kind="resolve"))
            return Decision(gone, UNKNOWN_INTENT, "caller_left", hops)
        case Resolved():
            return _resolved(outcome, policy, hops)
        case _:
            choice = _choose(outcome, policy)
            captured = outcome.slots if isinstance(outcome, RouteRequested) else {}
            slots = {**context.known, **captured}
            return _settle(choice, Circumstances(context, policy, slots))


def next_on_failure(decision: Decision, what: str) -> Decision:
    """The decision after the chosen route failed with ``what`` (snake_case or Twilio's own word).

    Total: the chain always ends in words of regret, which cannot fail. What has failed is not tried
    again: a page may have led to a route that stands in the chain as well.
    """
    failed = (*decision.failed, Passed(decision.chosen.name, what))
    names = {passed.name for passed in failed}
    untried = [one for one in decision.on_failure if one.name not in names]
    if not untried:
        last = decision.chosen if decision.chosen.name == LAST_RESORT else _LAST
        return replace(decision, chosen=last, on_failure=(), failed=failed)
    following, *rest = untried
    return replace(decision, chosen=following, on_failure=tuple(rest), failed=failed)


_LAST = NamedRoute(
    LAST_RESORT,
    ResolveRoute(
        kind="resolve", say="I am sorry, nobody can take your call right now. Please call later."
    ),
)


def acts_on_digit(policy: TenantPolicy, digit: str) -> bool:
    """Whether this key decides at once."""
    return digit == policy.human.digit or any(digit == one.digit for one in policy.intents)


# --- what the outcome asks for --------------------------------------------------------------


def _choose(
    outcome: RouteRequested
    | EscalationRequested
    | TriggerMatched
    | DigitPressed
    | PersonRequested
    | LimitReached
    | AssistantFailed,
    policy: TenantPolicy,
) -> _Choice:
    human = policy.human
    match outcome:
        case RouteRequested():
            return _requested(outcome, policy)
        case EscalationRequested(reason=detail, urgency=urgency):
            emergency = policy.emergency_intent()
            if urgency == "emergency" and emergency is not None:
                return _Choice(emergency, emergency.name, "escalated", detail)
            return _Choice(human, human.intent, "escalated", detail)
        case TriggerMatched(intent=name, phrase=phrase):
            return _of_intent(policy, name, "trigger", phrase)
        case DigitPressed(digit=digit):
            if digit == human.digit:
                return _Choice(human, human.intent, "digit", digit)
            intent = next((one for one in policy.intents if one.digit == digit), None)
            return _of_intent(policy, intent.name if intent else "", "digit", digit)
        case PersonRequested():
            return _Choice(human, human.intent, "person_requested")
        case LimitReached(kind=kind):
            return _Choice(policy.default, UNKNOWN_INTENT, f"limit_{kind}")
        case AssistantFailed(reason=why):
            return _Choice(policy.default, UNKNOWN_INTENT, "assistant_failed", why)
        case _:
            assert_never(outcome)


def _requested(outcome: RouteRequested, policy: TenantPolicy) -> _Choice:
    intent = policy.intent(outcome.intent)
    if intent is None:
        return _Choice(policy.default, UNKNOWN_INTENT, "unknown_intent")
    # An emergency is never held up for being only probable.
    if outcome.confidence < intent.threshold and not intent.emergency:
        return _Choice(policy.human, intent.name, "low_confidence")
    return _Choice(intent, intent.name, "route_requested")


def _of_intent(policy: TenantPolicy, name: str, reason: str, detail: str) -> _Choice:
    intent = policy.intent(name)
    if intent is None:
        return _Choice(policy.default, UNKNOWN_INTENT, "unknown_intent", detail)
    return _Choice(intent, intent.name, reason, detail)


def _resolved(outcome: Resolved, policy: TenantPolicy, hops: int) -> Decision:
    named = policy.intent(outcome.intent) if outcome.intent else _only_resolving(policy)
    chosen = NamedRoute(GOODBYE, ResolveRoute(kind="resolve"))
    if named is not None and policy.routes[named.route].kind == "resolve":
        chosen = NamedRoute(named.route, policy.routes[named.route])
    intent = named.name if named else UNKNOWN_INTENT
    return Decision(chosen, intent, "resolved", hops, detail=outcome.resolution)


def _only_resolving(policy: TenantPolicy) -> Intent | None:
    found = [one for one in policy.intents if policy.routes[one.route].kind == "resolve"]
    return found[0] if len(found) == 1 else None


def _settle(choice: _Choice, call: Circumstances) -> Decision:
    """The choice, bent to what this call allows. The last words end every chain."""
    usable, skipped = usable_routes(choice.destination, call)
    last = NamedRoute(LAST_RESORT, ResolveRoute(kind="resolve", say=call.policy.lines.unreachable))
    chosen, *rest = (*usable, last)
    bent = call.over_the_limit and chosen.name != choice.destination.route
    return Decision(
        chosen=chosen,
        intent=choice.intent,
        reason="hop_limit" if bent else choice.reason,
        hops=call.hops,
        detail=choice.detail,
        stated_priority=choice.destination.priority,
        on_failure=tuple(rest),
        skipped=tuple(skipped),
        after_pages=after_pages(usable, call),
    )
