"""What a decision wants done beside the call."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dispatch.chain import NamedRoute
from dispatch.context import CallContext, Turn
from dispatch.decision import Decision
from dispatch.effects import WantedEffect, side_effects
from dispatch.pages import SMS_LIMIT, page_email, page_text
from dispatch.policy import TenantPolicy
from dispatch.text import width
from tests.dispatch.wires import SAID, decided

Call = Callable[..., CallContext]


def to_route(decision: Decision, policy: TenantPolicy, name: str) -> Decision:
    return replace(decision, chosen=NamedRoute(name, policy.routes[name]))


def effects_of(policy: TenantPolicy, context: CallContext, name: str) -> tuple[WantedEffect, ...]:
    decision, envelope = decided(policy, context)
    return side_effects(to_route(decision, policy, name), envelope)


@pytest.mark.parametrize("name", ["scheduling", "on_call", "duty_phone", "message", "answered"])
def test_routes_that_only_move_the_call_want_nothing_else(
    policy: TenantPolicy, call: Call, name: str
) -> None:
    assert effects_of(policy, call(), name) == ()


def test_a_callback_task_carries_its_route_and_the_packed_attributes(
    policy: TenantPolicy, call: Call
) -> None:
    (effect,) = effects_of(policy, call(), "call_back")
    assert (effect.kind, effect.key, effect.deliver_within_s) == (
        "callback_task",
        "call_back",
        86_400.0,
    )
    payload = dict(effect.payload)
    attributes = json.loads(payload.pop("attributes"))
    call_sid = call().call_sid
    assert payload == {
        "call_sid": call_sid,
        "workspace_sid": "WS00000000000000000000000000000001",
        "workflow_sid": "WW00000000000000000000000000000002",
        "task_channel": "default",
        "priority": 30,  # the intent's own
        "timeout_s": 86_400,
        "task_key": f"{call_sid}/1/call_back",
    }
    expected = {"intent": "billing", "callback": "+14155550177", "call_sid": call_sid}
    assert expected.items() <= attributes.items()
    assert attributes["task_key"] == f"{call_sid}/1/call_back"


def test_the_attributes_fit_a_task_whatever_was_said(policy: TenantPolicy, call: Call) -> None:
    turns = tuple(Turn("caller", "\U0001f6bf é \u201cquoted\u201d " * 60) for _ in range(200))
    (effect,) = effects_of(policy, call(turns=turns), "call_back")
    text = effect.payload["attributes"]
    assert width(text) <= 4096
    assert json.loads(text)["task_key"].endswith("/1/call_back")


def test_an_execution_goes_to_the_callback_number(policy: TenantPolicy, call: Call) -> None:
    file: dict[str, Any] = policy.model_dump(by_alias=True, exclude_defaults=True)
    flow = "FW" + "7" * 32
    file["routes"]["follow_up"] = {"kind": "studio_execution", "flow_sid": flow}
    changed = TenantPolicy.model_validate(file)
    (effect,) = effects_of(changed, call(), "follow_up")
    payload = dict(effect.payload)
    parameters = payload.pop("parameters")
    assert (effect.kind, payload) == (
        "studio_execution",
        {"flow_sid": flow, "to": "+14155550177", "from_number": "+14155550100"},
    )
    expected = {"intent": "billing", "name": "Rachel Kim", "call_sid": call().call_sid}
    assert expected.items() <= parameters.items()


def test_a_page_goes_to_everybody_by_every_way(policy: TenantPolicy, call: Call) -> None:
    effects = effects_of(policy, call(turns=SAID), "page_owner")
    assert [(one.kind, one.key, one.payload["to"]) for one in effects] == [
        ("sms", "page_owner/0", "+14155550112"),
        ("email", "page_owner/0", "owner@acme-plumbing.example"),
    ]
    assert effects[0].payload["from_number"] == "+14155550100"


def test_what_follows_a_page_is_wanted_with_it(policy: TenantPolicy, call: Call) -> None:
    decision, envelope = decided(policy, call())
    paging = replace(
        to_route(decision, policy, "page_owner"),
        after_pages={"page_owner": NamedRoute("call_back", policy.routes["call_back"])},
    )
    kinds = [effect.kind for effect in side_effects(paging, envelope)]
    assert kinds == ["sms", "email", "callback_task"]


def test_the_same_decision_wants_the_same(policy: TenantPolicy, call: Call) -> None:
    assert effects_of(policy, call(), "call_back") == effects_of(policy, call(), "call_back")


# --- the words of a page --------------------------------------------------------------------


def test_a_text_message_says_what_whom_which_and_why(policy: TenantPolicy, call: Call) -> None:
    _, envelope = decided(policy, call(), "emergency", urgency="emergency", summary="Pipe burst.")
    assert page_text(envelope) == (
        "ACME Plumbing: emergency. Call Rachel Kim at +14155550177. TR-20260812-0042. Pipe burst."
    )


def test_a_long_summary_is_cut_and_the_number_never(policy: TenantPolicy, call: Call) -> None:
    _, envelope = decided(policy, call(), summary="water everywhere " * 100)
    text = page_text(envelope)
    assert width(text) <= SMS_LIMIT
    assert "+14155550177" in text
    assert text.endswith("…")


def test_an_email_says_all_of_it(policy: TenantPolicy, call: Call) -> None:
    _, envelope = decided(policy, call(turns=SAID), urgency="high")
    subject, text = page_email(replace(envelope, context_url="https://voice.example.com/context"))
    assert subject == "billing (high): ACME Plumbing, TR-20260812-0042"
    assert text.splitlines() == [
        "What: billing (high)",
        "Why now: route requested",
        "Call back: Rachel Kim at +14155550177",
        "Called from: +14158654838",
        "Language: en-US",
        "Reference: TR-20260812-0042",
        "When: 2026-08-12T13:12:00+00:00",
        "Full record (expires): https://voice.example.com/context",
        "",
        "Was charged twice for the visit on Monday.",
        "",
        "assistant: Thank you for calling. How can I help you today?",
        "caller: I was charged twice.",
    ]


def test_a_health_care_page_repeats_nothing_that_was_said(policy: TenantPolicy, call: Call) -> None:
    _, envelope = decided(policy, call(turns=SAID))
    envelope = replace(envelope, health_care=True)
    everything = page_text(envelope) + "".join(page_email(envelope))
    assert "charged" not in everything
    assert "Rachel" not in everything
    assert "+14155550177" in everything


def test_no_caller_can_write_a_header(policy: TenantPolicy, call: Call) -> None:
    _, envelope = decided(policy, call(), slots={"name": "A\r\nBcc: x@y.example"})
    subject, text = page_email(replace(envelope, business="B\r\nBcc: z@y.example"))
    assert "\n" not in subject
    assert all(not line.startswith("Bcc") for line in text.splitlines())
