"""Exactly one decision for any outcome of any call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.chain import Passed
from dispatch.context import CallContext
from dispatch.decision import (
    BUILT_IN_ROUTES,
    Decision,
    acts_on_digit,
    decide,
    from_json,
    next_on_failure,
    to_json,
)
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
from dispatch.routes import ENTERS_AUTOMATION, PageRoute

MakeCall = Callable[..., CallContext]


def asked(intent: str, confidence: float = 0.9) -> RouteRequested:
    return RouteRequested(intent, "a summary", confidence)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (asked("schedule"), ("scheduling", "schedule", "route_requested", 20)),
        (asked("billing"), ("billing_desk", "billing", "route_requested", 30)),
        (asked("emergency"), ("on_call", "emergency", "route_requested", 100)),
        (asked("human"), ("front_desk", "human", "route_requested", 50)),
        (asked("faq"), ("answered", "faq", "route_requested", 0)),
        (asked("other"), ("message", "other", "route_requested", 0)),
        (asked("billing", 0.3), ("front_desk", "billing", "low_confidence", 50)),
        (asked("emergency", 0.3), ("on_call", "emergency", "route_requested", 100)),
        (asked("pizza"), ("scheduling", "unknown", "unknown_intent", 0)),
        (TriggerMatched("emergency", "flood"), ("on_call", "emergency", "trigger", 100)),
        (TriggerMatched("gone", "flood"), ("scheduling", "unknown", "unknown_intent", 0)),
        (DigitPressed("0"), ("front_desk", "human", "digit", 50)),
        (DigitPressed("2"), ("billing_desk", "billing", "digit", 30)),
        (DigitPressed("7"), ("scheduling", "unknown", "unknown_intent", 0)),
        (PersonRequested(), ("front_desk", "human", "person_requested", 50)),
        (EscalationRequested("angry"), ("front_desk", "human", "escalated", 50)),
        (EscalationRequested("gas", "emergency"), ("on_call", "emergency", "escalated", 100)),
        (Resolved("told the hours", "faq"), ("answered", "faq", "resolved", 0)),
        (Resolved("told the hours"), ("answered", "faq", "resolved", 0)),
        (Resolved("told the balance", "billing"), ("goodbye", "billing", "resolved", 0)),
        (LimitReached("silence"), ("scheduling", "unknown", "limit_silence", 0)),
        (AssistantFailed("dropped"), ("scheduling", "unknown", "assistant_failed", 0)),
        (CallerLeft(), ("caller_left", "unknown", "caller_left", 0)),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, tuple) else type(value).__name__,
)
def test_each_outcome_leads_to_its_route(
    outcome: Outcome, expected: tuple[str, str, str, int], policy: TenantPolicy, call: MakeCall
) -> None:
    decision = decide(outcome, call(), policy)
    assert (
        decision.chosen.name,
        decision.intent,
        decision.reason,
        decision.priority,
    ) == expected
    assert decision.hops == 1


def test_a_call_that_never_came_from_studio_takes_the_next_route(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision = decide(asked("schedule"), call(entry="number", studio_flow=None), policy)
    assert decision.chosen.name == "front_desk"
    assert decision.skipped == (Passed("scheduling", "call_not_from_studio"),)
    assert decision.reason == "route_requested"


@pytest.mark.parametrize(
    ("fields", "route", "why"),
    [
        ({"studio_flow": None}, {"kind": "studio_return"}, "studio_flow_unknown"),
        (
            {},
            {"kind": "studio_return", "flow_sid": "FW" + "2" * 32},
            "call_from_another_flow",
        ),
        (
            {"direction": "outbound"},
            {"kind": "studio_trigger", "flow_sid": "FW" + "2" * 32},
            "inbound_calls_only",
        ),
        (
            {"from_number": "anonymous"},
            {"kind": "studio_execution", "flow_sid": "FW" + "2" * 32},
            "no_number_to_call_back",
        ),
        (
            {"from_number": "+266696687"},
            {"kind": "studio_execution", "flow_sid": "FW" + "2" * 32},
            "no_number_to_call_back",
        ),
        ({}, {"kind": "dial", "number": "+14155550100"}, "would_dial_this_very_call"),
        ({}, {"kind": "dial", "number": "+14158654838"}, "would_dial_this_very_call"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_route_that_this_call_cannot_take_is_skipped_with_the_reason(
    fields: dict[str, Any],
    route: dict[str, Any],
    why: str,
    policy: TenantPolicy,
    call: MakeCall,
) -> None:
    raw = policy.model_dump(by_alias=True)
    raw["routes"]["answered"] = route
    changed = TenantPolicy.model_validate(raw)
    decision = decide(asked("faq"), call(**fields), changed)
    assert decision.skipped[0] == Passed("answered", why)
    assert decision.chosen.name == "front_desk"


def test_a_captured_number_makes_a_callback_possible_for_a_withheld_caller(
    policy: TenantPolicy, call: MakeCall
) -> None:
    anonymous = call(from_number="anonymous", entry="number")
    without = decide(PersonRequested(), anonymous, policy)
    assert Passed("call_back", "no_number_to_call_back") in without.skipped
    outcome = RouteRequested("human", "a summary", 0.9, slots={"callback": "+14158654838"})
    assert "call_back" in [one.name for one in decide(outcome, anonymous, policy).on_failure]


@pytest.mark.parametrize(
    ("outcome", "chosen", "reason"),
    [
        (asked("schedule"), "front_desk", "hop_limit"),
        (asked("other"), "message", "route_requested"),
        (asked("faq"), "front_desk", "hop_limit"),
        (asked("billing"), "billing_desk", "route_requested"),
        (TriggerMatched("emergency", "flood"), "on_call", "trigger"),
        (LimitReached("turns"), "front_desk", "hop_limit"),
        (Resolved("done", "faq"), "answered", "resolved"),
        (CallerLeft(), "caller_left", "caller_left"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_the_third_handover_of_a_call_ends_with_a_person(
    outcome: Outcome, chosen: str, reason: str, policy: TenantPolicy, call: MakeCall
) -> None:
    # Voicemail is among the ways that [human] names, so it stands for a person here.
    decision = decide(outcome, call(hops=2), policy)
    assert (decision.chosen.name, decision.reason, decision.hops) == (chosen, reason, 3)


def test_the_second_handover_still_goes_back_to_studio(
    policy: TenantPolicy, call: MakeCall
) -> None:
    assert decide(asked("schedule"), call(hops=1), policy).chosen.name == "scheduling"


def test_every_failure_leads_to_the_next_route_and_the_last_to_words_of_regret(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision = decide(asked("emergency"), call(), policy)
    tried = [decision.chosen.name]
    for what in ("queue-full", "no-answer", "failed", "error", "failed", "failed", "failed"):
        decision = next_on_failure(decision, what)
        tried.append(decision.chosen.name)
    assert tried == [
        "on_call",
        "duty_phone",
        "page_owner",
        "front_desk",
        "call_back",
        "message",
        "unreachable",
        "unreachable",
    ]
    assert decision.failed[:2] == (
        Passed("on_call", "queue-full"),
        Passed("duty_phone", "no-answer"),
    )
    assert decision.priority == 100


def test_after_a_page_the_caller_goes_on_where_the_page_says(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision = decide(asked("emergency"), call(), policy)
    page = next_on_failure(next_on_failure(decision, "queue-full"), "busy")
    following = page.after_page()
    assert following is not None
    assert (page.chosen.name, following.chosen.name) == ("page_owner", "message")
    assert decision.after_page() is None


def paging(policy: TenantPolicy, then: str, *emergency: str) -> TenantPolicy:
    """Emergencies take these routes, and the page leads on to ``then``."""
    file: dict[str, Any] = policy.model_dump(by_alias=True, exclude_defaults=True)
    page = {**file["routes"]["page_owner"], "then": then}
    first, *others = emergency
    intents = [
        {**one, "route": first, "on_failure": others} if one["name"] == "emergency" else one
        for one in file["intent"]
    ]
    changed = {"routes": file["routes"] | {"page_owner": page}, "intent": intents}
    return TenantPolicy.model_validate(file | changed)


def gone_through(decision: Decision) -> list[str]:
    """Where the caller really is, step by step, while every route fails."""
    seen: list[str] = []
    while decision.chosen.name not in BUILT_IN_ROUTES and len(seen) < 20:
        if isinstance(decision.route, PageRoute):
            following = decision.after_page()
            assert following is not None
            assert decision.chosen.name not in seen
            decision = following
        seen.append(decision.chosen.name)
        decision = next_on_failure(decision, "failed")
    return seen


@pytest.mark.parametrize(
    ("then", "emergency", "expected"),
    [
        ("front_desk", ["page_owner"], ["front_desk", "call_back", "message"]),
        ("message", ["page_owner"], ["message", "front_desk", "call_back"]),
        (
            "front_desk",
            ["front_desk", "page_owner", "duty_phone"],
            ["front_desk", "duty_phone", "call_back", "message"],
        ),
    ],
    ids=["it stands in the chain too", "it stands at its end", "it failed before the page"],
)
def test_what_follows_a_page_is_tried_once_however_often_it_is_named(
    policy: TenantPolicy, call: MakeCall, then: str, emergency: list[str], expected: list[str]
) -> None:
    decision = decide(asked("emergency"), call(), paging(policy, then, *emergency))
    assert gone_through(decision) == expected


def test_a_page_behind_which_everything_has_failed_ends_in_words(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision = decide(asked("emergency"), call(), paging(policy, "front_desk", "page_owner"))
    alone = replace(decision, on_failure=(), failed=(Passed("front_desk", "busy"),))
    following = alone.after_page()
    assert following is not None
    assert following.chosen.name == "unreachable"


def test_only_the_keys_of_the_file_decide(policy: TenantPolicy) -> None:
    assert [digit for digit in "0123456789*#" if acts_on_digit(policy, digit)] == list("0129")


# --- properties -----------------------------------------------------------------------------

TEXT = st.text(max_size=40)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(
        RouteRequested,
        intent=st.sampled_from(["emergency", "schedule", "billing", "faq", "human", "x", ""]),
        summary=TEXT,
        confidence=st.floats(0, 1),
        slots=st.dictionaries(st.sampled_from(["callback", "name"]), TEXT),
    ),
    st.builds(EscalationRequested, TEXT, st.sampled_from(["low", "emergency"])),
    st.builds(Resolved, TEXT, st.none() | TEXT),
    st.builds(TriggerMatched, st.sampled_from(["emergency", "gone"]), TEXT),
    st.builds(DigitPressed, st.sampled_from("0123456789*#")),
    st.just(PersonRequested()),
    st.builds(LimitReached, st.sampled_from(["decide", "silence", "turns"])),
    st.builds(AssistantFailed, TEXT),
    st.just(CallerLeft()),
)
CALLS = st.builds(
    CallContext,
    call_sid=st.just("CA1"),
    account_sid=st.just("AC1"),
    tenant=st.just("acme-plumbing"),
    from_number=st.sampled_from(["+14158654838", "anonymous", "", "+1"]),
    to_number=st.just("+14155550100"),
    entry=st.sampled_from(["studio", "number", "bin"]),
    started_at=st.just(dt.datetime(2026, 8, 12, tzinfo=dt.UTC)),
    direction=st.sampled_from(["inbound", "outbound"]),
    studio_flow=st.none() | st.just("FW00000000000000000000000000000001"),
    hops=st.integers(0, 5),
)


def chain(decision: Decision) -> list[str]:
    return [decision.chosen.name, *(one.name for one in decision.on_failure)]


@given(outcome=OUTCOMES, context=CALLS)
def test_a_decision_only_ever_names_routes_of_the_file(
    outcome: Outcome, context: CallContext, policy: TenantPolicy
) -> None:
    names = chain(decide(outcome, context, policy))
    assert set(names) <= policy.routes.keys() | BUILT_IN_ROUTES
    assert len(set(names)) == len(names)


@given(outcome=OUTCOMES, context=CALLS)
def test_past_the_hop_limit_nothing_leads_back_to_automation(
    outcome: Outcome, context: CallContext, policy: TenantPolicy
) -> None:
    decision = decide(outcome, context, policy)
    if decision.hops > policy.limits.hops:
        kinds = {one.route.kind for one in (decision.chosen, *decision.on_failure)}
        assert not kinds & ENTERS_AUTOMATION


@given(outcome=OUTCOMES, context=CALLS)
def test_a_decision_survives_the_ledger(
    outcome: Outcome, context: CallContext, policy: TenantPolicy
) -> None:
    decision = decide(outcome, context, policy)
    assert from_json(to_json(decision)) == decision
    assert decide(outcome, context, policy) == decision


@given(outcome=OUTCOMES, context=CALLS)
def test_failures_come_to_an_end_in_words(
    outcome: Outcome, context: CallContext, policy: TenantPolicy
) -> None:
    decision = decide(outcome, context, policy)
    for _ in range(len(decision.on_failure) + 2):
        decision = next_on_failure(decision, "failed")
    assert decision.chosen.name in BUILT_IN_ROUTES
    assert decision.route.kind == "resolve"
