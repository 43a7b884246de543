"""A sound file held against the account: do its flows, workflows and channels exist, and do the
workflows' filters match the Tasks we send?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dispatch.crosscheck import Fault
from dispatch.filters import ANYTHING, BadExpressionError, Judgement, judge
from dispatch.intents import UNKNOWN_INTENT, Destination
from dispatch.names import ADDED_BY_TWILIO, RESERVED_ATTRIBUTES
from dispatch.policy import TenantPolicy
from dispatch.rest import TwilioRest
from dispatch.rest_client import RestError
from dispatch.routes import (
    CallbackTaskRoute,
    FlexRoute,
    PageRoute,
    Route,
    StudioExecutionRoute,
    StudioReturnRoute,
    StudioTriggerRoute,
    static_attributes,
)

Severity: TypeAlias = Literal["error", "warning"]
TaskRoute: TypeAlias = FlexRoute | CallbackTaskRoute


@dataclass(frozen=True, slots=True)
class OnlineFault:
    severity: Severity
    fault: Fault


async def ask_twilio(policy: TenantPolicy, rest: TwilioRest) -> AsyncIterator[OnlineFault]:
    """What does not fit the account, with its place in the file. Never raises for Twilio."""
    for name, route in policy.routes.items():
        try:
            async for fault in _route_faults(policy, name, route, rest):
                yield fault
        except RestError as error:
            yield OnlineFault("warning", (("routes", name), f"could not be checked: {error}"))


async def _route_faults(
    policy: TenantPolicy, name: str, route: Route, rest: TwilioRest
) -> AsyncIterator[OnlineFault]:
    match route:
        case StudioReturnRoute(flow_sid=str(flow)):
            faults = _flow(await rest.flow_status(flow))
        case StudioTriggerRoute(flow_sid=flow) | StudioExecutionRoute(flow_sid=flow):
            faults = _flow(await rest.flow_status(flow))
        case FlexRoute(workspace_sid=None):
            text = "is not given, so that the workflow could not be looked at"
            yield OnlineFault("warning", (("routes", name, "workspace_sid"), text))
            return
        case FlexRoute(workspace_sid=str(workspace), workflow_sid=workflow):
            faults = _workflow(
                policy, name, route, await rest.workflow_configuration(workspace, workflow)
            )
        case CallbackTaskRoute(workspace_sid=workspace, workflow_sid=workflow):
            channels = await rest.task_channels(workspace)
            for channel_fault in _channel(name, route, channels):
                yield channel_fault
            if channels is None:
                return
            faults = _workflow(
                policy, name, route, await rest.workflow_configuration(workspace, workflow)
            )
        case _:
            return
    for severity, field, text in faults:
        yield OnlineFault(severity, (("routes", name, field), text))


_Found: TypeAlias = tuple[Severity, str, str]


def _flow(status: str | None) -> Iterator[_Found]:
    if status is None:
        yield "error", "flow_sid", "is not a flow of this account"
    elif status != "published":
        yield "warning", "flow_sid", f"is a flow that is not published ({status})"


def _channel(
    name: str, route: CallbackTaskRoute, channels: frozenset[str] | None
) -> Iterator[OnlineFault]:
    if channels is None:
        fault: Fault = (("routes", name, "workspace_sid"), "is not a workspace of this account")
        yield OnlineFault("error", fault)
    elif route.task_channel not in channels:
        known = ", ".join(sorted(one for one in channels if not one.startswith("TC")))
        text = f"is {route.task_channel!r}, expected one of the workspace's: {known}"
        yield OnlineFault("error", (("routes", name, "task_channel"), text))


# --- the filters of a workflow --------------------------------------------------------------


def _workflow(
    policy: TenantPolicy, name: str, route: TaskRoute, configuration: Mapping[str, Any] | None
) -> Iterator[_Found]:
    if configuration is None:
        yield "error", "workflow_sid", "is not a workflow of this workspace"
        return
    routing = configuration.get("task_routing")
    routing = routing if isinstance(routing, Mapping) else {}
    filters = [one for one in routing.get("filters", ()) if isinstance(one, Mapping)]
    has_default = bool(routing.get("default_filter"))
    yield from _odd_filters(policy, route, filters)
    for intent in _intents_of(policy, name):
        if not _may_match(policy, route, intent, filters):
            what = f"no filter of the workflow matches a Task of intent {intent!r}"
            if has_default:
                yield "warning", "workflow_sid", f"{what}; its default filter takes it"
            else:
                yield "error", "workflow_sid", f"{what}, and it has no default: it is cancelled"


def _odd_filters(
    policy: TenantPolicy, route: TaskRoute, filters: list[Mapping[str, Any]]
) -> Iterator[_Found]:
    """Filters that cannot be read, or ask for what no Task of ours has."""
    attributes = sent_attributes(policy, route, ANYTHING)
    for one in filters:
        label = one.get("filter_friendly_name") or one.get("expression") or "without a name"
        try:
            judged = judge(str(one.get("expression", "")), attributes)
        except BadExpressionError as error:
            yield "warning", "workflow_sid", f"the workflow's filter {label!r} {error}"
            continue
        for missing in sorted(_never_sent(judged, attributes)):
            text = f"the workflow's filter {label!r} asks for {missing!r}, which we never send"
            yield "warning", "workflow_sid", text
        for key in sorted(judged.not_lists):
            text = f"the workflow's filter {label!r} asks HAS of {key!r}, which is no list"
            yield "warning", "workflow_sid", text


def _never_sent(judged: Judgement, attributes: Mapping[str, object]) -> set[str]:
    return {
        name
        for name in judged.names
        if name.split(".")[0] not in attributes and not name.startswith(("flex_", "ivr_"))
    }


def _may_match(
    policy: TenantPolicy, route: TaskRoute, intent: str, filters: list[Mapping[str, Any]]
) -> bool:
    """Whether a filter takes such a Task, or might; one that cannot be read counts as it might."""
    attributes = sent_attributes(policy, route, intent)
    for one in filters:
        try:
            if judge(str(one.get("expression", "")), attributes).matches is not False:
                return True
        except BadExpressionError:
            return True
    return False


def _intents_of(policy: TenantPolicy, route: str) -> list[str]:
    """With which intents a Task can come by this route."""
    by_human = route in _chain(policy, policy.human)
    found = {
        intent.name: None
        for intent in policy.intents
        if by_human or route in _chain(policy, intent)
    }
    if by_human:
        found[policy.human.intent] = None
    if by_human or route in _chain(policy, policy.default):
        found[UNKNOWN_INTENT] = None
    return list(found)


def _chain(policy: TenantPolicy, destination: Destination) -> set[str]:
    """The routes of a destination, and those that its pages lead on to."""
    named = {destination.route, *destination.on_failure}
    for name in tuple(named):
        match policy.routes[name]:
            case PageRoute(then=str(then)):
                named.add(then)
            case _:
                pass
    return named


def sent_attributes(policy: TenantPolicy, route: TaskRoute, intent: object) -> dict[str, object]:
    """All attributes that a Task of this route can have; what depends on the call as ANYTHING."""
    slots = {slot.name for one in policy.intents for slot in one.slots}
    uncertain = {*ADDED_BY_TWILIO, *RESERVED_ATTRIBUTES, *slots, "name", "callback"}
    sent: dict[str, object] = dict.fromkeys(sorted(uncertain), ANYTHING)
    sent |= static_attributes(route)
    sent |= {"intent": intent, "business": policy.business.name, "handedOff": True}
    if route.queue:
        sent["queue"] = route.queue
    else:
        sent.pop("queue", None)
    return sent
