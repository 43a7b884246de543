"""The desk of a tenant: what decides a call, and what does not."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from bridge.call.desk import Answer, Finish, Lookup
from bridge.call.triage import TriageDesk
from dispatch.context import CallContext
from dispatch.outcome import (
    DigitPressed,
    EscalationRequested,
    LimitKind,
    LimitReached,
    PersonRequested,
    Resolved,
    RouteRequested,
    TriggerMatched,
)
from dispatch.policy import TenantPolicy
from dispatch.triggers import TriggerMatcher

POLICY: dict[str, Any] = {
    "tenant": "acme",
    "numbers": ["*"],
    "business": {
        "name": "Acme",
        "timezone": "America/Los_Angeles",
        "languages": ["en-US", "es-US"],
    },
    "lines": {
        "greeting": "Hello.",
        "closing": {"en-US": "One moment.", "es-US": "Un momento."},
        "goodbye": "Goodbye.",
    },
    "limits": {"person_requests": 2},
    "routes": {"office": {"kind": "voicemail"}},
    "default": {"route": "office"},
    "human": {"route": "office", "digit": "0"},
    "intent": [
        {
            "name": "billing",
            "description": "A bill.",
            "route": "office",
            "digit": "1",
            "slots": [{"name": "invoice", "kind": "text", "required": True, "ask": "Which one?"}],
        },
        {
            "name": "leak",
            "description": "Water.",
            "route": "office",
            "triggers": ["burst pipe"],
        },
    ],
    "tool": [
        {
            "name": "orders",
            "description": "Orders.",
            "url": "https://orders.example.com/{id}",
            "parameters": {
                "type": "object",
                "properties": {"id": {"type": "integer"}},
                "required": ["id"],
            },
        }
    ],
}


@pytest.fixture
def policy() -> TenantPolicy:
    return TenantPolicy.model_validate(POLICY)


@pytest.fixture
def desk(policy: TenantPolicy) -> TriageDesk:
    return desk_for(policy)


def desk_for(policy: TenantPolicy, language: str | None = None) -> TriageDesk:
    context = CallContext(
        call_sid="CA" + "0" * 32,
        account_sid="AC" + "0" * 32,
        tenant="acme",
        from_number="+14155550100",
        to_number="+14155550101",
        entry="number",
        started_at=dt.datetime(2026, 1, 5, 18, tzinfo=dt.UTC),
        language=language,
    )
    return TriageDesk(policy, TriggerMatcher(policy), context, dt.date(2026, 1, 5))


def route(**changes: object) -> str:
    usual = {
        "intent": "billing",
        "summary": "About a bill.",
        "confidence": 0.95,
        "sentiment": "neutral",
        "urgency": "normal",
        "language": "en-US",
        "slots": {"invoice": "A-17"},
    }
    return json.dumps(usual | changes)


def closing(words: str) -> str:
    return (
        "Say now, in the language of this conversation, one short closing sentence such as"
        f' "{words}" Ask nothing and add nothing.'
    )


def test_a_routing_call_in_order_decides_and_has_a_closing_line(desk: TriageDesk) -> None:
    verdict = desk.tool_called("route_call", route())
    assert verdict == Finish(
        RouteRequested(
            "billing", "About a bill.", 0.95, language="en-US", slots={"invoice": "A-17"}
        ),
        '{"ok":true}',
        closing("One moment."),
    )


def test_a_routing_call_with_a_gap_is_answered_with_what_is_missing(desk: TriageDesk) -> None:
    verdict = desk.tool_called("route_call", route(slots={}))
    assert isinstance(verdict, Answer)
    answer = json.loads(verdict.output)
    assert (answer["ok"], "invoice" in answer["problem"]) == (False, True)


def test_a_gap_that_stays_decides_all_the_same_with_the_gap_named(desk: TriageDesk) -> None:
    for _ in range(2):
        assert isinstance(desk.tool_called("route_call", route(slots={})), Answer)
    verdict = desk.tool_called("route_call", route(slots={}))
    assert isinstance(verdict, Finish)
    assert isinstance(verdict.outcome, RouteRequested)
    assert verdict.outcome.missing == ("invoice",)


def test_what_was_sound_in_a_refused_call_is_kept_with_the_call(desk: TriageDesk) -> None:
    desk.tool_called("route_call", route(confidence=0.2))
    assert desk.context.known == {"invoice": "A-17"}


def test_what_a_decision_captured_is_known_if_the_caller_talks_on(desk: TriageDesk) -> None:
    assert isinstance(desk.tool_called("route_call", route()), Finish)
    assert desk.context.known == {"invoice": "A-17"}


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"intent": 7}', "null", "\x00"])
def test_arguments_of_any_kind_never_raise(desk: TriageDesk, arguments: str) -> None:
    for name in ("route_call", "escalate", "end_call", "orders", "nothing_of_the_kind"):
        assert isinstance(desk.tool_called(name, arguments), Answer | Finish | Lookup)


def test_a_wish_for_a_person_by_the_model_is_granted_at_once(desk: TriageDesk) -> None:
    verdict = desk.tool_called("escalate", '{"reason": "Angry.", "urgency": "high"}')
    assert verdict == Finish(
        EscalationRequested("Angry.", "high"), '{"ok":true}', closing("One moment.")
    )


def test_a_resolved_call_ends_with_the_goodbye(desk: TriageDesk) -> None:
    verdict = desk.tool_called("end_call", '{"resolution": "Told the hours."}')
    assert verdict == Finish(Resolved("Told the hours."), '{"ok":true}', closing("Goodbye."))


def test_a_look_up_in_order_is_run_and_another_is_answered(desk: TriageDesk) -> None:
    assert desk.tool_called("orders", '{"id": 7}') == Lookup("orders", {"id": 7})
    refused = desk.tool_called("orders", "{}")
    assert isinstance(refused, Answer)
    assert json.loads(refused.output)["ok"] is False


def test_a_tool_that_is_not_there_is_answered_with_those_that_are(desk: TriageDesk) -> None:
    verdict = desk.tool_called("x" * 500, "{}")
    assert isinstance(verdict, Answer)
    assert len(verdict.output) < 200


def test_a_trigger_phrase_decides_and_is_not_taken_back(desk: TriageDesk) -> None:
    verdict = desk.caller_said("There is a burst pipe in the kitchen!")
    assert verdict == Finish(
        TriggerMatched("leak", "burst pipe"), '{"ok":true}', closing("One moment."), False
    )


def test_a_person_is_given_the_second_time_they_are_asked_for(desk: TriageDesk) -> None:
    assert desk.caller_said("I want to talk to a person.") is None
    assert desk.caller_said("It is about my bill.") is None
    verdict = desk.caller_said("Let me speak to a real person!")
    assert verdict == Finish(PersonRequested(), '{"ok":true}', closing("One moment."), False)


def test_keys_of_the_file_decide_and_others_do_not(desk: TriageDesk) -> None:
    for digit in "01":
        verdict = desk.digit_pressed(digit)
        assert verdict == Finish(DigitPressed(digit), '{"ok":true}', closing("One moment."), False)
    assert desk.digit_pressed("5") is None


def test_only_an_announced_transfer_is_a_promise(desk: TriageDesk) -> None:
    assert desk.announced_without_deciding("I am transferring you now.")
    assert not desk.announced_without_deciding("What is your name?")


@pytest.mark.parametrize(
    ("kind", "cancellable"),
    [
        ("silence", True),
        ("announced", True),
        ("decide", False),
        ("longest_call", False),
        ("turns", False),
    ],
)
def test_a_caller_who_speaks_up_lifts_only_the_limits_that_waited_for_it(
    desk: TriageDesk, kind: LimitKind, cancellable: bool
) -> None:
    assert desk.limit_reached(kind) == Finish(
        LimitReached(kind), '{"ok":true}', closing("One moment."), cancellable
    )


def test_the_closing_line_is_in_the_callers_language(policy: TenantPolicy) -> None:
    verdict = desk_for(policy, "es-US").tool_called("escalate", "{}")
    assert isinstance(verdict, Finish)
    assert verdict.closing == closing("Un momento.")


def test_an_empty_closing_line_says_nothing(policy: TenantPolicy) -> None:
    silent = policy.model_copy(update={"lines": policy.lines.model_copy(update={"closing": ""})})
    verdict = desk_for(silent).tool_called("escalate", "{}")
    assert isinstance(verdict, Finish)
    assert verdict.closing == ""
