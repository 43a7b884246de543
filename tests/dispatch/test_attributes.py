"""What travels with a call: everything, under the names that Flex reads, within the limits."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch import envelope as envelopes
from dispatch.attributes import (
    INSIGHTS_LIMIT,
    RETURN_LIMIT,
    SMALLEST_LIMIT,
    TASK_LIMIT,
    full_record,
    handoff_data,
    pack,
    return_parameters,
)
from dispatch.context import CallContext, Turn
from dispatch.decision import Decision, decide
from dispatch.envelope import Envelope, reference, seal
from dispatch.names import ADDED_BY_TWILIO
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
from dispatch.text import ELLIPSIS, width

MakeCall = Callable[..., CallContext]
NOW = dt.datetime(2026, 8, 12, 13, 10, 42, tzinfo=dt.UTC)
BILLING = RouteRequested(
    intent="billing",
    summary="Thinks the March invoice was charged twice.",
    confidence=0.91,
    sentiment="negative",
    language="en-US",
    urgency="normal",
    slots={"name": "George Hill", "callback": "+14153473573", "amount": 120},
    missing=("invoice_number",),
)


def sealed(
    outcome: Outcome, context: CallContext, policy: TenantPolicy, context_url: str = ""
) -> tuple[Decision, Envelope]:
    decision = decide(outcome, context, policy)
    envelope = seal(
        decision,
        outcome,
        context,
        policy,
        reference=reference(NOW.date(), 42),
        decided_at=NOW,
    )
    return decision, replace(envelope, context_url=context_url)


def test_a_flex_task_carries_all_that_is_known(policy: TenantPolicy, call: MakeCall) -> None:
    context = call(
        parameters={"ivr_menu": "2", "flex_vip": "yes", "token": "secret"},
        turns=(
            Turn("assistant", "How can I help?"),
            Turn("caller", "I think I was charged twice."),
        ),
        hops=1,
    )
    decision, envelope = sealed(BILLING, context, policy, "https://triage.example/context/CA1?s=x")
    assert json.loads(pack(decision, envelope)) == {
        "ivr_menu": "2",
        "flex_vip": "yes",
        "name": "George Hill",
        "callback": "+14153473573",
        "amount": 120,
        "intent": "billing",
        "summary": "Thinks the March invoice was charged twice.",
        "priority": 30,
        "queue": "billing",
        "urgency": "normal",
        "language": "en-US",
        "reference": "TR-20260812-0042",
        "hops": 2,
        "business": "ACME Plumbing",
        "entry": "studio",
        "caller_number": "+14158654838",
        "called_number": "+14155550100",
        "triage_call_sid": "CA1a6fd60a34f639eee11bf9e6b9689441",
        "ai_confidence": 0.91,
        "missing": ["invoice_number"],
        "context_url": "https://triage.example/context/CA1?s=x",
        "handedOff": True,
        "handoffReason": "route_requested",
        "handoffSummary": "Thinks the March invoice was charged twice.",
        "handoffSentiment": "negative",
        "handoffLanguage": "en-US",
        "handoffTimestamp": "2026-08-12T13:10:42+00:00",
        "conversations": {
            "conversation_id": "CA1a6fd60a34f639eee11bf9e6b9689441",
            "conversation_attribute_1": "billing",
            "conversation_attribute_2": "route_requested",
            "conversation_attribute_3": "normal",
            "conversation_measure_1": 91,
            "ivr_path": "triage/billing/billing_desk",
            "ivr_time": 42,
            "language": "en-US",
            "initiated_by": "Customer",
            "queue": "billing",
            "content": "Thinks the March invoice was charged twice.",
        },
        "turns": [
            {"who": "assistant", "text": "How can I help?"},
            {"who": "caller", "text": "I think I was charged twice."},
        ],
    }


def test_twilios_own_attribute_names_are_left_to_twilio_on_a_live_call(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision, envelope = sealed(BILLING, call(), policy)
    assert not json.loads(pack(decision, envelope)).keys() & ADDED_BY_TWILIO
    by_rest = json.loads(pack(decision, envelope, live_call=False))
    assert {key: by_rest[key] for key in by_rest.keys() & ADDED_BY_TWILIO} == {
        "call_sid": "CA1a6fd60a34f639eee11bf9e6b9689441",
        "from": "+14158654838",
        "to": "+14155550100",
        "direction": "inbound",
    }


SAID = (Turn("assistant", "Hello"), Turn("caller", "My   cellar is wet"))


@pytest.mark.parametrize(
    ("outcome", "summary", "urgency"),
    [
        (BILLING, "Thinks the March invoice was charged twice.", "normal"),
        (
            RouteRequested("billing", "", 0.9),
            'The assistant gave no summary. The caller said: "My cellar is wet"',
            "normal",
        ),
        (EscalationRequested("Is upset.", "high"), "Is upset.", "high"),
        (
            EscalationRequested(""),
            'The assistant asked for a person. The caller said: "My cellar is wet"',
            "normal",
        ),
        (Resolved("Told the hours.", "faq"), "Told the hours.", "normal"),
        (
            TriggerMatched("emergency", "flood"),
            'The caller said: "My cellar is wet"',
            "emergency",
        ),
        (
            DigitPressed("0"),
            'The caller pressed 0. The caller said: "My cellar is wet"',
            "normal",
        ),
        (
            PersonRequested(),
            'The caller asked for a person. The caller said: "My cellar is wet"',
            "normal",
        ),
        (
            LimitReached("silence"),
            'The assistant came to no decision (silence). The caller said: "My cellar is wet"',
            "normal",
        ),
        (
            AssistantFailed("socket_closed"),
            'The assistant failed (socket_closed). The caller said: "My cellar is wet"',
            "normal",
        ),
        (CallerLeft(), 'The caller hung up. The caller said: "My cellar is wet"', "normal"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_whoever_takes_over_reads_what_is_known_even_without_the_model(
    outcome: Outcome, summary: str, urgency: str, policy: TenantPolicy, call: MakeCall
) -> None:
    _, envelope = sealed(outcome, call(turns=SAID), policy)
    assert (envelope.summary, envelope.urgency) == (summary, urgency)


def test_a_trigger_before_any_transcript_still_says_which(
    policy: TenantPolicy, call: MakeCall
) -> None:
    _, envelope = sealed(TriggerMatched("emergency", "flood"), call(), policy)
    assert envelope.summary == 'The caller said "flood".'
    assert envelope.callback == "+14158654838"


@pytest.mark.parametrize(("chosen", "language"), [("es", "es-US"), ("2", "en-US"), (None, "en-US")])
def test_workflows_read_a_language_of_the_business_whatever_the_menu_sent(
    chosen: str | None, language: str, policy: TenantPolicy, call: MakeCall
) -> None:
    menu = {} if chosen is None else {"ivr_language": chosen}
    decision, envelope = sealed(PersonRequested(), call(language=chosen, parameters=menu), policy)
    packed = json.loads(pack(decision, envelope))
    assert (packed["language"], packed["handoffLanguage"]) == (language, language)
    assert packed.get("ivr_language") == chosen


def test_the_envelope_survives_the_ledger(policy: TenantPolicy, call: MakeCall) -> None:
    _, envelope = sealed(BILLING, call(turns=SAID, parameters={"ivr_a": "1"}), policy)
    assert envelopes.from_json(envelopes.to_json(envelope)) == envelope


def test_health_care_keeps_words_out_of_insights(policy: TenantPolicy, call: MakeCall) -> None:
    raw = policy.model_dump(by_alias=True)
    raw["business"]["health_care"] = True
    clinic = TenantPolicy.model_validate(raw)
    decision, envelope = sealed(BILLING, call(), clinic)
    assert "content" not in json.loads(pack(decision, envelope))["conversations"]


def test_only_the_last_ten_turns_travel_and_the_full_record_has_all(
    policy: TenantPolicy, call: MakeCall
) -> None:
    turns = tuple(Turn("caller", f"turn {number}") for number in range(25))
    decision, envelope = sealed(BILLING, call(turns=turns), policy)
    packed = json.loads(pack(decision, envelope))
    assert [turn["text"] for turn in packed["turns"]] == [f"turn {n}" for n in range(15, 25)]
    assert "cut" not in packed
    assert len(full_record(decision, envelope)["turns"]) == 25


def test_old_turns_go_first_and_the_cut_is_marked(policy: TenantPolicy, call: MakeCall) -> None:
    turns = tuple(Turn("caller", f"{number} " + "word " * 80) for number in range(20))
    decision, envelope = sealed(BILLING, call(turns=turns), policy)
    packed = json.loads(pack(decision, envelope, limit=2000))
    assert packed["cut"] == ["turns"]
    assert packed["turns"][-1]["text"].startswith("19 word")
    assert all(turn["text"].endswith(ELLIPSIS) for turn in packed["turns"])
    assert "conversations" in packed


def test_what_workflows_route_by_outlasts_what_was_captured(
    policy: TenantPolicy, call: MakeCall
) -> None:
    raw = policy.model_dump(by_alias=True)
    raw["routes"]["on_call"]["attributes"] = {"skills": ["s" * 150]}
    outcome = RouteRequested(
        "emergency", "Water everywhere.", 0.9, slots={"address": "x" * 100, "name": "Jo"}
    )
    context = call(parameters={"ivr_note": "y" * 300})
    decision, envelope = sealed(outcome, context, TenantPolicy.model_validate(raw))
    packed = json.loads(pack(decision, envelope, limit=500))
    assert packed["skills"] == ["s" * 150]
    assert not {"address", "ivr_note"} & packed.keys()
    assert packed["name"] == "Jo"


def test_a_limit_below_what_must_stay_is_refused(policy: TenantPolicy, call: MakeCall) -> None:
    decision, envelope = sealed(BILLING, call(), policy)
    with pytest.raises(ValueError, match="limit is 399, expected at least 400"):
        pack(decision, envelope, limit=399)


def test_agent_connects_shape_holds_the_attributes_and_the_reason(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision, envelope = sealed(BILLING, call(), policy)
    data = handoff_data(decision, envelope)
    assert data.keys() == {"conversationId", "storeId", "profileId", "attributes"}
    assert data["conversationId"] == "CA1a6fd60a34f639eee11bf9e6b9689441"
    assert data["attributes"]["reason"] == "route_requested"
    assert data["attributes"]["callback"] == "+14153473573"


def test_studio_gets_a_few_small_parameters(policy: TenantPolicy, call: MakeCall) -> None:
    outcome = RouteRequested(
        "schedule",
        "Wants a faucet fixed.",
        0.9,
        slots={"name": "Rachel Kim", "callback": "+14157687785", "time_of_day": "morning"},
    )
    menu = {"ivr_menu": "2", "flex_tier": "gold", "token": "secret", "ivr_long": "x" * RETURN_LIMIT}
    decision, envelope = sealed(outcome, call(parameters=menu), policy)
    assert return_parameters(decision, envelope) == {
        "ivr_menu": "2",
        "flex_tier": "gold",
        "intent": "schedule",
        "reference": "TR-20260812-0042",
        "callback": "+14157687785",
        "name": "Rachel Kim",
        "reason": "route_requested",
        "queue": "scheduling",
        "priority": "20",
        "urgency": "normal",
        "language": "en-US",
        "hops": "1",
        "ai_confidence": "0.9",
        "sentiment": "neutral",
        "time_of_day": "morning",
        "summary": "Wants a faucet fixed.",
    }


# --- properties -----------------------------------------------------------------------------

WORDS = st.text(st.characters(codec=None), max_size=60) | st.sampled_from(
    [
        '"',
        "\\",
        "</Task>",
        "\u0000",
        "\ud800",
        "👩‍👩‍👧‍👦" * 30,
        "漏水" * 200,
        "é" * 500,
        "&amp;" * 99,
    ]
)
KEYS = st.text(st.characters(codec=None), max_size=10)
TURNS = st.lists(
    st.builds(Turn, st.sampled_from(["caller", "assistant"]), WORDS), max_size=200
).map(tuple)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(
        RouteRequested,
        intent=st.sampled_from(["emergency", "billing", "human", "schedule"]),
        summary=WORDS,
        confidence=st.floats(0, 1),
        slots=st.dictionaries(
            st.sampled_from(["name", "callback", "address", "amount", "invoice_number"]),
            WORDS | st.integers(-(10**12), 10**12),
        ),
        missing=st.lists(st.sampled_from(["name", "callback"]), max_size=2).map(tuple),
    ),
    st.builds(EscalationRequested, WORDS),
    st.builds(TriggerMatched, st.just("emergency"), WORDS),
    st.builds(AssistantFailed, WORDS),
)


@st.composite
def cases(draw: st.DrawFn, call: MakeCall, policy: TenantPolicy) -> tuple[Decision, Envelope]:
    passed_on = st.sampled_from(["ivr_", "flex_", ""]).flatmap(
        lambda prefix: KEYS.map(lambda key: prefix + key)
    )
    context = call(
        turns=draw(TURNS),
        parameters=draw(st.dictionaries(passed_on, WORDS, max_size=20)),
        from_number=draw(st.sampled_from(["+14158654838", "anonymous", "sip:a@b"])),
    )
    return sealed(draw(OUTCOMES), context, policy, "https://triage.example/" + "x" * 200)


@settings(max_examples=150)
@given(data=st.data(), limit=st.integers(SMALLEST_LIMIT, TASK_LIMIT), live=st.booleans())
def test_whatever_was_said_the_attributes_fit_parse_and_keep_what_matters(
    data: st.DataObject, limit: int, live: bool, policy: TenantPolicy, call: MakeCall
) -> None:
    decision, envelope = data.draw(cases(call, policy))
    text = pack(decision, envelope, limit=limit, live_call=live)
    assert width(text) <= limit
    packed: dict[str, Any] = json.loads(text)
    assert packed["intent"] == envelope.intent
    assert packed.get("callback") == envelope.callback
    whole = packed["summary"] == envelope.summary
    assert whole or (packed["summary"].endswith(ELLIPSIS) and packed["cut"])
    assert not live or not packed.keys() & ADDED_BY_TWILIO
    for key, value in packed.get("conversations", {}).items():
        assert not isinstance(value, str) or width(value) <= INSIGHTS_LIMIT, key


@settings(max_examples=100)
@given(data=st.data())
def test_whatever_was_said_studios_parameters_stay_small(
    data: st.DataObject, policy: TenantPolicy, call: MakeCall
) -> None:
    decision, envelope = data.draw(cases(call, policy))
    parameters = return_parameters(decision, envelope)
    assert len(urlencode(parameters)) <= RETURN_LIMIT
    assert parameters["intent"] == envelope.intent
    assert "FlowEvent" not in parameters
