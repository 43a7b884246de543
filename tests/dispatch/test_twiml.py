"""The documents that move a call."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.context import CallContext, Turn
from dispatch.decision import Decision, decide, next_on_failure
from dispatch.envelope import Envelope, seal
from dispatch.outcome import (
    CallerLeft,
    LimitReached,
    Outcome,
    PersonRequested,
    Resolved,
    RouteRequested,
    TriggerMatched,
)
from dispatch.policy import TenantPolicy
from dispatch.routes import DialRoute, VoicemailRoute
from dispatch.text import width
from dispatch.twiml import (
    INLINE_LIMIT,
    CallbackUrls,
    accepted,
    after_recording,
    hang_up,
    render,
    whisper,
)

MakeCall = Callable[..., CallContext]
URLS = CallbackUrls(
    action="https://t.example/action",
    whisper="https://t.example/whisper",
    accept="https://t.example/accept",
    recording="https://t.example/recording",
    transcription="https://t.example/transcription",
)
XML = '<?xml version="1.0" encoding="UTF-8"?>'


def sealed(
    outcome: Outcome, context: CallContext, policy: TenantPolicy
) -> tuple[Decision, Envelope]:
    decision = decide(outcome, context, policy)
    now = dt.datetime(2026, 8, 12, 13, 10, 42, tzinfo=dt.UTC)
    reference = "TR-20260812-0042"
    return decision, seal(decision, outcome, context, policy, reference=reference, decided_at=now)


def with_route(policy: TenantPolicy, name: str, route: dict[str, Any]) -> TenantPolicy:
    raw = policy.model_dump(by_alias=True)
    raw["routes"][name] = route
    return TenantPolicy.model_validate(raw)


def parsed(document: str) -> ElementTree.Element:
    return ElementTree.fromstring(document)  # noqa: S314 - our own document


FAQ = RouteRequested("faq", "Asks for the hours.", 0.9)


def test_a_call_goes_back_to_the_flow_that_waits_for_it(
    policy: TenantPolicy, call: MakeCall
) -> None:
    outcome = RouteRequested("schedule", 'Faucet & "tap" <1>', 0.9, slots={"name": "Ann Öz"})
    document = render(*sealed(outcome, call(), policy), URLS)
    assert document.startswith(
        f'{XML}<Response><Redirect method="POST">https://webhooks.twilio.com'
    )
    url = urlsplit(parsed(document)[0].text or "")
    assert url.path == (
        "/v1/Accounts/AC00000000000000000000000000000001/Flows/FW00000000000000000000000000000001"
    )
    query = parse_qs(url.query)
    assert query["FlowEvent"] == ["return"]
    assert query["intent"] == ["schedule"]
    assert query["name"] == ["Ann Öz"]
    assert query["summary"] == ['Faucet & "tap" <1>']


def test_a_call_can_start_another_flow(policy: TenantPolicy, call: MakeCall) -> None:
    flow = "FW" + "9" * 32
    changed = with_route(policy, "answered", {"kind": "studio_trigger", "flow_sid": flow})
    document = render(*sealed(FAQ, call(), changed), URLS)
    url = urlsplit(parsed(document)[0].text or "")
    assert url.path.endswith(f"/Flows/{flow}")
    assert parse_qs(url.query)["Trigger"] == ["incomingCall"]


def test_a_live_call_enters_flex_with_its_attributes(policy: TenantPolicy, call: MakeCall) -> None:
    document = render(*sealed(TriggerMatched("emergency", "flood"), call(), policy), URLS)
    enqueue = parsed(document)[0]
    assert (enqueue.tag, enqueue.attrib) == (
        "Enqueue",
        {
            "action": "https://t.example/action",
            "method": "POST",
            "workflowSid": "WW00000000000000000000000000000001",
        },
    )
    task = enqueue[0]
    assert (task.tag, task.attrib) == ("Task", {"priority": "100", "timeout": "300"})
    assert json.loads(task.text or "")["queue"] == "emergency"


def test_the_duty_phone_hears_the_summary_first(policy: TenantPolicy, call: MakeCall) -> None:
    decision, envelope = sealed(TriggerMatched("emergency", "flood"), call(), policy)
    dial = next_on_failure(decision, "queue-full")
    assert render(dial, envelope, URLS) == (
        f'{XML}<Response><Dial action="https://t.example/action" answerOnBridge="true"'
        ' method="POST" timeout="25"><Number method="POST" url="https://t.example/whisper">'
        "+14155550111</Number></Dial></Response>"
    )
    assert isinstance(dial.route, DialRoute)
    assert whisper(dial.route, envelope, URLS) == (
        f'{XML}<Response><Gather action="https://t.example/accept" input="dtmf" method="POST"'
        ' numDigits="1" timeout="6"><Say language="en-US">Call for ACME Plumbing. The caller said'
        ' "flood". Press 1 to accept.</Say><Pause length="1" /><Say language="en-US">Press 1 to'
        " accept.</Say></Gather><Hangup /></Response>"
    )
    assert accepted(dial.route, "1") == f"{XML}<Response />"
    assert accepted(dial.route, "2") == f"{XML}<Response><Hangup /></Response>"
    assert accepted(dial.route, "") == f"{XML}<Response><Hangup /></Response>"


def test_a_sip_address_without_whisper_is_dialled_plainly(
    policy: TenantPolicy, call: MakeCall
) -> None:
    route = {
        "kind": "dial",
        "sip": "sip:desk@pbx.example",
        "whisper": False,
        "accept_digit": "",
        "caller_id": "+14155550100",
    }
    decision, envelope = sealed(FAQ, call(), with_route(policy, "answered", route))
    assert render(decision, envelope, URLS) == (
        f'{XML}<Response><Dial action="https://t.example/action" answerOnBridge="true"'
        ' callerId="+14155550100" method="POST" timeout="20">'
        "<Sip>sip:desk@pbx.example</Sip></Dial></Response>"
    )
    plain = DialRoute(kind="dial", sip="sip:desk@pbx.example", accept_digit="")
    assert whisper(plain, envelope, URLS) == (
        f'{XML}<Response><Say language="en-US">Call for ACME Plumbing. Asks for the hours.</Say>'
        "</Response>"
    )


def test_a_message_is_recorded_and_its_callbacks_named(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision, envelope = sealed(RouteRequested("other", "A job.", 0.9), call(), policy)
    goodbye = '<Say language="en-US">Thank you for calling Acme Plumbing. Goodbye.</Say><Hangup />'
    assert render(decision, envelope, URLS) == (
        f'{XML}<Response><Say language="en-US">I can take a message for the team. Please speak'
        ' after the tone.</Say><Record action="https://t.example/action" maxLength="120"'
        ' method="POST" playBeep="true" recordingStatusCallback="https://t.example/recording"'
        ' recordingStatusCallbackMethod="POST" timeout="5" transcribe="true"'
        f' transcribeCallback="https://t.example/transcription" />{goodbye}</Response>'
    )
    assert isinstance(decision.route, VoicemailRoute)
    assert after_recording(decision.route, envelope) == f"{XML}<Response>{goodbye}</Response>"


@pytest.mark.parametrize(
    ("outcome", "body"),
    [
        (Resolved("Told the hours.", "faq"), "<Hangup />"),
        (CallerLeft(), "<Hangup />"),
    ],
    ids=["resolved", "caller left"],
)
def test_nothing_is_left_but_to_hang_up(
    outcome: Outcome, body: str, policy: TenantPolicy, call: MakeCall
) -> None:
    assert render(*sealed(outcome, call(), policy), URLS) == f"{XML}<Response>{body}</Response>"


def test_a_callback_is_announced_in_the_callers_language(
    policy: TenantPolicy, call: MakeCall
) -> None:
    say = {"en-US": "We will call you back.", "es-US": "Le llamaremos."}
    raw = policy.routes["call_back"].model_dump() | {"say": say}
    changed = with_route(policy, "answered", raw)
    outcome = RouteRequested("faq", "Pregunta.", 0.9, language="es-MX")
    assert render(*sealed(outcome, call(), changed), URLS) == (
        f'{XML}<Response><Say language="es-US">Le llamaremos.</Say><Hangup /></Response>'
    )


def test_the_caller_is_told_the_reference_where_the_operator_wants_it(
    policy: TenantPolicy, call: MakeCall
) -> None:
    raw = policy.routes["call_back"].model_dump() | {"say": "Your reference is {reference}."}
    changed = with_route(policy, "answered", raw)
    assert render(*sealed(FAQ, call(), changed), URLS) == (
        f'{XML}<Response><Say language="en-US">Your reference is T R, 2 0 2 6 0 8 1 2, 0 0 4 2.'
        "</Say><Hangup /></Response>"
    )


def test_an_execution_by_rest_ends_the_call_with_words(
    policy: TenantPolicy, call: MakeCall
) -> None:
    route = {"kind": "studio_execution", "flow_sid": "FW" + "3" * 32, "say": "See your phone."}
    changed = with_route(policy, "answered", route)
    assert render(*sealed(FAQ, call(), changed), URLS) == (
        f'{XML}<Response><Say language="en-US">See your phone.</Say><Hangup /></Response>'
    )


def test_after_a_page_the_caller_leaves_a_message(policy: TenantPolicy, call: MakeCall) -> None:
    decision, envelope = sealed(TriggerMatched("emergency", "flood"), call(), policy)
    page = next_on_failure(next_on_failure(decision, "queue-full"), "busy")
    tags = [verb.tag for verb in parsed(render(page, envelope, URLS))]
    assert tags == ["Say", "Say", "Record", "Say", "Hangup"]


def test_the_last_words_are_said_before_hanging_up(policy: TenantPolicy, call: MakeCall) -> None:
    decision, envelope = sealed(PersonRequested(), call(), policy)
    for _ in range(9):
        decision = next_on_failure(decision, "failed")
    assert render(decision, envelope, URLS) == (
        f'{XML}<Response><Say language="en-US">I am sorry, nobody can take your call right now.'
        " Please call again later.</Say><Hangup /></Response>"
    )


# --- documents that no decision stands behind -----------------------------------------------


def test_plain_documents() -> None:
    assert hang_up() == f"{XML}<Response><Hangup /></Response>"


# --- limits ---------------------------------------------------------------------------------

NASTY = st.sampled_from(["&<>\"'" * 50, "漏水だ" * 90, "🔥" * 120, "\x00\ud800", "a b " * 60])


@settings(max_examples=60)
@given(turns=st.lists(NASTY, max_size=30), summary=NASTY, name=NASTY)
def test_a_document_for_rest_keeps_its_limit_whatever_was_said(
    turns: list[str], summary: str, name: str, policy: TenantPolicy, call: MakeCall
) -> None:
    context = call(turns=tuple(Turn("caller", text) for text in turns), parameters={"ivr_x": name})
    outcome = RouteRequested("billing", summary, 0.9, slots={"name": name})
    document = render(*sealed(outcome, context, policy), URLS, limit=INLINE_LIMIT)
    assert width(document) <= INLINE_LIMIT
    task = parsed(document)[0][0]
    assert json.loads(task.text or "")["intent"] == "billing"


def test_a_document_that_cannot_be_made_smaller_is_refused(
    policy: TenantPolicy, call: MakeCall
) -> None:
    decision, envelope = sealed(LimitReached("turns"), call(), policy)
    with pytest.raises(ValueError, match="characters, allowed are 100"):
        render(decision, envelope, URLS, limit=100)


@settings(max_examples=40)
@given(said=NASTY, summary=NASTY, name=NASTY)
def test_every_route_gives_a_sound_document_whatever_was_said(
    said: str, summary: str, name: str, policy: TenantPolicy, call: MakeCall
) -> None:
    context = call(turns=(Turn("caller", said),), parameters={"flex_x": said})
    kinds: set[str] = set()
    for intent in ("schedule", "emergency"):
        outcome = RouteRequested(intent, summary, 0.9, slots={"name": name, "address": said})
        decision, envelope = sealed(outcome, context, policy)
        while decision.on_failure:
            kinds.add(decision.route.kind)
            assert parsed(render(decision, envelope, URLS)).tag == "Response"
            if isinstance(decision.route, DialRoute):
                assert parsed(whisper(decision.route, envelope, URLS)).tag == "Response"
            decision = next_on_failure(decision, "failed")
    assert kinds == {"studio_return", "flex", "dial", "page", "callback_task", "voicemail"}
