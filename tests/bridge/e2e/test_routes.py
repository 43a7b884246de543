"""Each of the nine routes: a caller says something, and arrives with everything that is known."""

from __future__ import annotations

import re

from loadtest.twilio import (
    Callee,
    Dialled,
    FlexTask,
    Hangup,
    StudioReturn,
    StudioTrigger,
    Voicemail,
)
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import CALLER, FILE, FLOW, PUBLIC, model, routes_to

REFERENCE = re.compile(r"TR-\d{8}-\d{4}")


async def test_studio_return_goes_back_into_the_flow_with_parameters(start: Start) -> None:
    system = await start(model(routes_to("schedule", urgency="low")))
    call = await system.call()
    assert isinstance(call.outcome, StudioReturn)
    params = dict(call.outcome.params)
    assert call.outcome.flow_sid == FLOW
    assert REFERENCE.fullmatch(params.pop("reference"))
    assert params.pop("context_url").startswith(f"{PUBLIC}/context/{call.call_sid}?expires=")
    assert params == {
        "intent": "schedule",
        "name": "Rachel Kim",
        "callback": "+14155550177",
        "reason": "route_requested",
        "queue": "scheduling",
        "priority": "0",
        "urgency": "low",
        "language": "en-US",
        "hops": "1",
        "ai_confidence": "0.93",
        "sentiment": "negative",
        "summary": "Was charged twice.",
    }
    assert not call.errors


async def test_studio_trigger_starts_the_flow_for_this_call(start: Start) -> None:
    system = await start(model(routes_to("sales")))
    call = await system.call()
    assert isinstance(call.outcome, StudioTrigger)
    assert call.outcome.flow_sid == "FW" + "1" * 32
    assert {"intent": "sales", "from_triage": "yes"}.items() <= call.outcome.params.items()


async def test_studio_execution_is_started_by_rest_and_the_call_ends(start: Start) -> None:
    system = await start(model(routes_to("quote")))
    call = await system.call()
    assert isinstance(call.outcome, Hangup)
    (effect,) = await system.delivered(call, 1)
    (execution,) = system.twilio.executions
    assert (effect.kind, effect.state, effect.result) == ("studio_execution", "done", execution.sid)
    assert (execution.flow_sid, execution.contact) == ("FW" + "2" * 32, "+14155550177")
    assert execution.from_number == "+14155550100"
    expected = {
        "intent": "quote",
        "topic": "quote",
        "name": "Rachel Kim",
        "call_sid": call.call_sid,
    }
    assert expected.items() <= execution.parameters.items()


async def test_flex_gets_the_call_with_a_task(start: Start) -> None:
    system = await start(model(routes_to("billing"), said=["I was charged twice."]))
    call = await system.call(params={"flex_tier": "gold", "ivr_language": "en-US"})
    task = call.outcome
    assert isinstance(task, FlexTask)
    assert (task.workflow_sid, task.priority, task.timeout_s) == ("WW" + "3" * 32, 30, 600)
    attributes = dict(task.attributes)
    expected = {
        "intent": "billing",
        "queue": "billing",
        "skills": ["billing"],
        "priority": 30,
        "name": "Rachel Kim",
        "callback": "+14155550177",
        "summary": "Was charged twice.",
        "ai_confidence": 0.93,
        "language": "en-US",
        "hops": 1,
        "flex_tier": "gold",
        "handedOff": True,
        "handoffReason": "route_requested",
        "handoffSummary": "Was charged twice.",
        "handoffSentiment": "negative",
        "handoffLanguage": "en-US",
        "triage_call_sid": call.call_sid,
        "turns": [{"who": "caller", "text": "I was charged twice."}],
    }
    assert expected.items() <= attributes.items()
    assert REFERENCE.fullmatch(str(attributes["reference"]))
    assert attributes["conversations"]["queue"] == "billing"  # type: ignore[index]
    assert task.merged["call_sid"] == call.call_sid
    assert not call.errors, "no attribute of ours is one that Enqueue adds itself"


async def test_a_callback_task_is_made_by_rest_and_the_call_ends(start: Start) -> None:
    system = await start(model(routes_to("later")))
    call = await system.call()
    assert isinstance(call.outcome, Hangup)
    (effect,) = await system.delivered(call, 1)
    (task,) = system.twilio.tasks
    assert (effect.kind, effect.state, effect.result) == ("callback_task", "done", task.sid)
    assert (task.workflow_sid, task.priority, task.by_rest) == ("WW" + "5" * 32, 10, True)
    expected = {
        "intent": "later",
        "queue": "callbacks",
        "callback": "+14155550177",
        "call_sid": call.call_sid,
        "from": CALLER,
    }
    assert expected.items() <= task.attributes.items()


async def test_a_dialled_callee_hears_the_summary_accepts_and_is_connected(start: Start) -> None:
    system = await start(model(routes_to("emergency", summary="Pipe burst.")))
    call = await system.call(callees={"+14155550111": Callee(rings_ms=50, keys=((50, "1"),))})
    assert call.outcome == Dialled(("+14155550111",), "completed", True, "+14155550111")
    whispered = next(asked for asked in call.webhooks if asked.purpose == "whisper")
    assert whispered.answer is not None
    said = whispered.answer.body.decode()
    assert "Call for ACME from Rachel Kim. Pipe burst." in said
    assert "Press 1 to accept." in said


async def test_a_sip_callee_hears_the_summary_accepts_and_is_connected(start: Start) -> None:
    desk = "sip:desk@pbx.example"
    file = FILE.read_text(encoding="utf-8").replace('number = "+14155550111"', f'sip = "{desk}"')
    system = await start(model(routes_to("emergency", summary="Pipe burst.")), file=file)
    call = await system.call(callees={desk: Callee(rings_ms=50, keys=((50, "1"),))})
    assert call.outcome == Dialled((desk,), "completed", True, desk)
    whispered = next(asked for asked in call.webhooks if asked.purpose == "whisper")
    assert whispered.answer is not None
    assert "Pipe burst. Press 1 to accept." in whispered.answer.body.decode()


async def test_voicemail_keeps_the_recording_its_words_and_the_callback(start: Start) -> None:
    system = await start(model(routes_to("other")))
    call = await system.call()
    assert isinstance(call.outcome, Voicemail)
    reports = {report.key.split("-")[0]: report for report in await system.reports(call)}
    assert reports.keys() == {"step", "recording", "transcription"}
    assert reports["recording"].fields["recording_sid"] == call.outcome.recording_sid
    assert reports["recording"].fields["callback"] == "+14155550177"
    assert reports["transcription"].fields["text"] == "This is what the caller said."
    assert reports["step"].status == "recorded"


async def test_a_question_that_was_answered_ends_with_a_goodbye(start: Start) -> None:
    system = await start(model(routes_to("faq")))
    call = await system.call()
    assert isinstance(call.outcome, Hangup)
    assert "Goodbye then." in (await system.decision(call)).twiml


async def test_a_page_reaches_the_owner_by_message_and_mail_and_the_caller_goes_on(
    start: Start,
) -> None:
    system = await start(model(routes_to("boss", urgency="high")))
    call = await system.call()
    assert isinstance(call.outcome, Voicemail)
    effects = await system.delivered(call, 2)
    assert {(effect.kind, effect.state) for effect in effects} == {
        ("sms", "done"),
        ("email", "done"),
    }
    (message,) = system.twilio.messages
    assert message.fields["To"] == "+14155550112"
    assert message.fields["Body"].startswith("ACME: boss (high). Call Rachel Kim at +14155550177.")
    (mail,) = system.mailbox.taken
    assert mail["To"] == "owner@acme.example"
    assert mail["Subject"].startswith("boss (high): ACME, TR-")
    assert "Was charged twice." in mail.as_string()
