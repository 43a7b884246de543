"""How a handover went, from what Twilio says at the action address."""

from __future__ import annotations

import pytest

from dispatch.policy import TenantPolicy
from dispatch.results import (
    ActionResult,
    CallerGone,
    Handled,
    RouteFailed,
    action_result,
    conversation_over,
    dial_result,
    enqueue_result,
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("bridged", Handled("bridged")),
        ("bridging-in-process", Handled("bridging-in-process")),
        ("redirected", Handled("redirected")),
        ("redirected-from-bridged", Handled("redirected-from-bridged")),
        ("hangup", CallerGone("hangup")),
        ("leave", RouteFailed("leave")),
        ("queue-full", RouteFailed("queue-full")),
        ("error", RouteFailed("error")),
        ("system-error", RouteFailed("system-error")),
        ("something new", RouteFailed("unknown-result")),
    ],
)
def test_every_queue_result_has_its_meaning(word: str, expected: ActionResult) -> None:
    assert enqueue_result({"QueueResult": word}) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"DialCallStatus": "completed", "DialBridged": "true"}, Handled("completed")),
        ({"DialCallStatus": "completed"}, Handled("completed")),
        ({"DialCallStatus": "answered"}, Handled("answered")),
        ({"DialCallStatus": "completed", "DialBridged": "false"}, RouteFailed("not-accepted")),
        ({"DialCallStatus": "no-answer", "DialBridged": "false"}, RouteFailed("no-answer")),
        ({"DialCallStatus": "busy"}, RouteFailed("busy")),
        ({"DialCallStatus": "failed"}, RouteFailed("failed")),
        ({"DialCallStatus": "canceled"}, CallerGone("canceled")),
        ({}, RouteFailed("unknown-result")),
    ],
)
def test_every_dial_status_has_its_meaning(
    parameters: dict[str, str], expected: ActionResult
) -> None:
    assert dial_result(parameters) == expected


def test_the_route_says_which_words_count(policy: TenantPolicy) -> None:
    routes = policy.routes
    both = {"QueueResult": "queue-full", "DialCallStatus": "busy", "RecordingSid": "RE1"}
    assert action_result(routes["front_desk"], both) == RouteFailed("queue-full")
    assert action_result(routes["duty_phone"], both) == RouteFailed("busy")
    assert action_result(routes["message"], both) == Handled("recorded")
    assert action_result(routes["message"], {}) == Handled("over")


def test_a_caller_who_has_hung_up_is_moved_nowhere(policy: TenantPolicy) -> None:
    said = {"QueueResult": "error", "CallStatus": "completed"}
    assert action_result(policy.routes["front_desk"], said) == CallerGone("error")
    waiting = said | {"CallStatus": "in-progress"}
    assert action_result(policy.routes["front_desk"], waiting) == RouteFailed("error")


@pytest.mark.parametrize(
    ("said", "over"),
    [
        ({"QueueResult": "bridged"}, True),
        ({"QueueResult": "queue-full"}, False),
        ({"DialCallStatus": "completed", "DialBridged": "true"}, True),
        ({"DialCallStatus": "completed", "DialBridged": "false"}, False),
        ({"RecordingSid": "RE1"}, True),
        ({}, False),
    ],
)
def test_that_somebody_had_the_call_shows_without_its_route(
    said: dict[str, str], over: bool
) -> None:
    assert conversation_over(said) is over
