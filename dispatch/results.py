"""How a handover went: what Twilio's action requests say about Enqueue, Dial and Record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dispatch.routes import DialRoute, FlexRoute, Route


@dataclass(frozen=True, slots=True)
class Handled:
    """The destination had the call; now it is over. ``how`` is Twilio's word."""

    how: str


@dataclass(frozen=True, slots=True)
class CallerGone:
    """The caller hung up while waiting."""

    how: str


@dataclass(frozen=True, slots=True)
class RouteFailed:
    """The destination did not take the call: go on with ``next_on_failure(decision, what)``."""

    what: str


ActionResult: TypeAlias = Handled | CallerGone | RouteFailed

_QUEUE_RESULTS: Mapping[str, ActionResult] = {
    "bridged": Handled("bridged"),
    "bridging-in-process": Handled("bridging-in-process"),
    "redirected": Handled("redirected"),
    "redirected-from-bridged": Handled("redirected-from-bridged"),
    "hangup": CallerGone("hangup"),
    "leave": RouteFailed("leave"),
    "queue-full": RouteFailed("queue-full"),
    "error": RouteFailed("error"),
    "system-error": RouteFailed("system-error"),
}
_DIAL_RESULTS: Mapping[str, ActionResult] = {
    "completed": Handled("completed"),
    "answered": Handled("answered"),
    "canceled": CallerGone("canceled"),
    "no-answer": RouteFailed("no-answer"),
    "busy": RouteFailed("busy"),
    "failed": RouteFailed("failed"),
}
NOBODY_THERE = frozenset({"leave", "no-answer", "busy", "not-accepted"})
"""The way there worked; whoever was asked did not take the call."""


def action_result(route: Route, parameters: Mapping[str, str]) -> ActionResult:
    """What the action request of ``route``'s document says. Unknown words count as a failure.

    A caller who has hung up is gone, whatever else is said: there is no call left to move.
    """
    match route:
        case FlexRoute():
            result = enqueue_result(parameters)
        case DialRoute():
            result = dial_result(parameters)
        case _:
            result = Handled("recorded" if parameters.get("RecordingSid") else "over")
    if isinstance(result, RouteFailed) and parameters.get("CallStatus") in _CALL_OVER:
        return CallerGone(result.what)
    return result


_CALL_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


def conversation_over(parameters: Mapping[str, str]) -> bool:
    """Whether the call was taken and is over now, as far as that shows without its route."""
    if "QueueResult" in parameters:
        return isinstance(enqueue_result(parameters), Handled)
    if "DialCallStatus" in parameters:
        return isinstance(dial_result(parameters), Handled)
    return bool(parameters.get("RecordingSid"))


def enqueue_result(parameters: Mapping[str, str]) -> ActionResult:
    """From ``QueueResult``."""
    return _QUEUE_RESULTS.get(parameters.get("QueueResult", ""), RouteFailed("unknown-result"))


def dial_result(parameters: Mapping[str, str]) -> ActionResult:
    """From ``DialCallStatus``, and ``DialBridged``: an answered call that was never connected means
    that the callee did not accept."""
    result = _DIAL_RESULTS.get(parameters.get("DialCallStatus", ""), RouteFailed("unknown-result"))
    if isinstance(result, Handled) and parameters.get("DialBridged", "").lower() == "false":
        return RouteFailed("not-accepted")
    return result
