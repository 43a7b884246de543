"""Where calls go after the assistant: agents, queues, numbers, voicemail."""

from __future__ import annotations

import io
import json

import aiohttp
import pytest

import audiocodecs
from loadtest.twilio import (
    Agent,
    Callee,
    CallerHungUp,
    CallScript,
    Dialled,
    FellOffTheEnd,
    FlexTask,
    HangUp,
    Hangup,
    Outcome,
    Press,
    Queued,
    SimulatedTwilio,
    Speak,
    StudioReturn,
    Voicemail,
    WaitMs,
)
from loadtest.twilio.people import QueueRefusal
from tests.loadtest.twilio.conftest import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    FLOW_SID,
    STUDIO,
    WORKFLOW_SID,
    Application,
    clip,
    response,
)

ATTRIBUTES = '{"intent": "billing", "urgent": true}'
ENQUEUE = (
    f'<Enqueue workflowSid="{WORKFLOW_SID}" action="/queue">'
    f'<Task priority="5" timeout="300">{ATTRIBUTES}</Task></Enqueue>'
)
AT_ONCE = Agent(after_ms=0)


def attributes_of(outcome: Outcome) -> FlexTask:
    assert isinstance(outcome, FlexTask)
    return outcome


async def test_an_enqueued_call_becomes_a_task_with_merged_attributes(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(ENQUEUE)
    application.replies["/queue"] = response("<Hangup/>")
    result = await twilio.place_call(CallScript(agent=AT_ONCE))
    task = attributes_of(result.outcome)
    assert (task.workflow_sid, task.priority, task.timeout_s, task.queue_result) == (
        WORKFLOW_SID,
        5,
        300,
        "bridged",
    )
    assert task.attributes == {"intent": "billing", "urgent": True}
    assert task.merged["call_sid"] == result.call_sid
    assert task.merged["from"] == "+14155550142"
    assert task.merged["intent"] == "billing"
    assert result.outcomes[1:] == (Hangup(),)
    (asked,) = application.asked("/queue")
    assert asked.params["QueueResult"] == "bridged"
    assert [kept.status for kept in twilio.tasks] == ["assigned"]


@pytest.mark.parametrize("refusal", ["queue-full", "error", "system-error", "leave"])
async def test_a_refusing_queue_tells_the_action_which_can_go_elsewhere(
    twilio: SimulatedTwilio, application: Application, refusal: QueueRefusal
) -> None:
    application.replies["/voice"] = response(ENQUEUE)
    application.replies["/queue"] = response(f"<Redirect>{STUDIO}?FlowEvent=return</Redirect>")
    result = await twilio.place_call(CallScript(agent=Agent(refusal=refusal)))
    assert [seen.params["QueueResult"] for seen in application.asked("/queue")] == [refusal]
    assert attributes_of(result.outcomes[0]).queue_result == refusal
    assert result.outcome == StudioReturn(FLOW_SID, {})
    assert [task.status for task in twilio.tasks] == ["canceled"]


async def test_a_caller_who_leaves_the_queue_cancels_the_task(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(ENQUEUE)
    application.replies["/queue"] = response()
    script = CallScript(steps=[WaitMs(50), HangUp()], agent=Agent(after_ms=None))
    result = await twilio.place_call(script)
    assert [seen.params["QueueResult"] for seen in application.asked("/queue")] == ["hangup"]
    assert attributes_of(result.outcomes[0]).queue_result == "hangup"
    assert result.outcome == CallerHungUp("caller")
    assert [(task.status, task.reason) for task in twilio.tasks] == [("canceled", "hangup")]


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("<Task>[1]</Task>", "attributes are a JSON list, expected an object"),
        ("<Task>{</Task>", "attributes are not JSON"),
        (
            f'<Task>{{"x": "{"y" * 4096}"}}</Task>',
            "attributes are 4105 characters long, expected 4096",
        ),
    ],
    ids=["list", "broken", "too long"],
)
async def test_attributes_that_taskrouter_does_not_take_make_no_task(
    twilio: SimulatedTwilio, application: Application, task: str, complaint: str
) -> None:
    application.replies["/voice"] = response(
        f'<Enqueue workflowSid="{WORKFLOW_SID}" action="/queue">{task}</Enqueue>'
    )
    application.replies["/queue"] = response("<Hangup/>")
    result = await twilio.place_call(CallScript())
    (notice,) = result.errors
    assert notice.code == 14221
    assert notice.message.startswith(complaint)
    assert [seen.params["QueueResult"] for seen in application.asked("/queue")] == ["error"]
    assert list(twilio.tasks) == []


async def test_an_attribute_that_enqueue_adds_itself_is_a_warning(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        f'<Enqueue workflowSid="{WORKFLOW_SID}"><Task>{{"from": "me"}}</Task></Enqueue>'
    )
    result = await twilio.place_call(CallScript(agent=AT_ONCE))
    assert [notice.message for notice in result.errors] == [
        "attribute from is one that Enqueue adds itself"
    ]
    assert attributes_of(result.outcome).merged["from"] == "+14155550142"
    assert result.outcomes[-1] == FellOffTheEnd()


async def test_a_workflow_that_cannot_exist_is_an_error(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Enqueue workflowSid="sales"/>', "<Hangup/>")
    result = await twilio.place_call(CallScript())
    assert [notice.code for notice in result.errors] == [14220, 14221]
    assert result.outcomes == (Hangup(),)


async def test_without_a_workflow_the_call_waits_in_a_plain_queue(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Enqueue>support</Enqueue>")
    result = await twilio.place_call(CallScript(agent=AT_ONCE))
    assert result.outcome == Queued("support", "bridged")


async def test_the_wait_document_can_end_the_waiting(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        '<Enqueue waitUrl="/wait" action="/queue">support</Enqueue>'
    )
    application.replies["/wait"] = response("<Say>please wait</Say>", "<Leave/>")
    application.replies["/queue"] = response("<Hangup/>")
    result = await twilio.place_call(CallScript(agent=Agent(after_ms=None)))
    (asked,) = application.asked("/wait")
    assert asked.params["QueuePosition"] == "1"
    assert [seen.params["QueueResult"] for seen in application.asked("/queue")] == ["leave"]
    assert result.outcomes == (Queued("support", "leave"), Hangup())


DIAL = (
    '<Dial action="/dialled" timeout="1">'
    '<Number url="/whisper">+14155550001</Number><Sip>sip:desk@example.com</Sip></Dial>'
)
WHISPER = response('<Gather numDigits="1" timeout="1" action="/accept"/>', "<Hangup/>")


def callees(number: Callee, desk: Callee) -> dict[str, Callee]:
    return {"+14155550001": number, "sip:desk@example.com": desk}


async def test_a_callee_who_accepts_the_whisper_is_bridged(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(DIAL)
    application.replies["/whisper"] = WHISPER
    application.replies["/accept"] = response()
    application.replies["/dialled"] = response("<Hangup/>")
    people = callees(Callee(rings_ms=20, keys=((30, "1"),)), Callee("busy", rings_ms=10))
    result = await twilio.place_call(CallScript(callees=people))
    assert result.outcome == Dialled(
        ("+14155550001", "sip:desk@example.com"), "completed", True, "+14155550001"
    )
    (whisper,) = application.asked("/whisper")
    assert whisper.params["ParentCallSid"] == result.call_sid
    assert whisper.params["CallSid"] != result.call_sid
    assert whisper.params["Direction"] == "outbound-dial"
    assert [seen.params["Digits"] for seen in application.asked("/accept")] == ["1"]
    (told,) = application.asked("/dialled")
    assert (told.params["DialCallStatus"], told.params["DialBridged"]) == ("completed", "true")


async def test_a_callee_who_does_not_accept_is_not_bridged(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        '<Dial action="/dialled"><Number url="/whisper">+14155550001</Number></Dial>'
    )
    application.replies["/whisper"] = response('<Gather timeout="0"/>', "<Hangup/>")
    application.replies["/dialled"] = response(f"<Redirect>{STUDIO}?FlowEvent=return</Redirect>")
    result = await twilio.place_call(CallScript(callees=callees(Callee(), Callee())))
    (told,) = application.asked("/dialled")
    assert (told.params["DialCallStatus"], told.params["DialBridged"]) == ("completed", "false")
    assert result.outcome == StudioReturn(FLOW_SID, {})


@pytest.mark.parametrize(
    ("callee", "status"),
    [
        (Callee("busy", rings_ms=10), "busy"),
        (Callee("no-answer", rings_ms=10), "no-answer"),
        (Callee("failed", rings_ms=10), "failed"),
        (Callee(rings_ms=5000), "no-answer"),
    ],
    ids=["busy", "no answer", "failed", "rings too long"],
)
async def test_nobody_reached_is_told_to_the_action(
    twilio: SimulatedTwilio, application: Application, callee: Callee, status: str
) -> None:
    application.replies["/voice"] = response(
        '<Dial action="/dialled" timeout="1">+14155550001</Dial>'
    )
    application.replies["/dialled"] = response("<Hangup/>")
    script = CallScript(callees={"+14155550001": callee})
    result = await twilio.place_call(script)
    assert result.outcomes[0] == Dialled(("+14155550001",), status, False, None)
    assert [seen.params["DialCallStatus"] for seen in application.asked("/dialled")] == [status]


async def test_numbers_dialled_in_turn_stop_at_the_first_that_answers(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        '<Dial sequential="true"><Number>+14155550001</Number>'
        "<Sip>sip:desk@example.com</Sip></Dial>"
    )
    people = callees(Callee("busy", rings_ms=10), Callee(rings_ms=10))
    result = await twilio.place_call(CallScript(callees=people))
    assert result.outcomes == (
        Dialled(
            ("+14155550001", "sip:desk@example.com"), "completed", True, "sip:desk@example.com"
        ),
        FellOffTheEnd(),
    )


async def test_a_caller_who_leaves_while_it_rings_is_told_to_the_action(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Dial action="/dialled">+14155550001</Dial>')
    application.replies["/dialled"] = response()
    script = CallScript(
        steps=[WaitMs(30), HangUp()], callees={"+14155550001": Callee(rings_ms=9000)}
    )
    result = await twilio.place_call(script)
    assert [seen.params["DialCallStatus"] for seen in application.asked("/dialled")] == ["canceled"]
    assert result.outcome == CallerHungUp("caller")


RECORD = '<Record action="/recorded" finishOnKey="#" recordingStatusCallback="/recording"/>'


async def test_a_voicemail_is_recorded_and_can_be_fetched(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(RECORD)
    application.replies["/recorded"] = response("<Hangup/>")
    application.replies["/recording"] = ""
    said = clip(400)
    result = await twilio.place_call(CallScript(steps=[Speak(said), Press("#")]))
    voicemail = result.outcome
    assert isinstance(voicemail, Voicemail)
    assert voicemail.ended_by == "#"
    (action,) = application.asked("/recorded")
    (status,) = application.asked("/recording")
    assert action.params["RecordingUrl"] == status.params["RecordingUrl"]
    assert action.params["Digits"] == "#"
    assert status.params["RecordingStatus"] == "completed"
    path = action.params["RecordingUrl"].removeprefix("https://api.twilio.com")
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN)}
        async with session.get(f"{twilio.rest_url}{path}.wav", headers=headers) as answer:
            audio = audiocodecs.read_wav(io.BytesIO(await answer.read()))
    assert b"".join(frame.ulaw for frame in said.frames) in audio.ulaw()


async def test_a_silent_caller_leaves_no_voicemail_and_the_next_verb_runs(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Record action="/r" timeout="1"/>', "<Hangup/>")
    result = await twilio.place_call(CallScript())
    assert result.outcomes == (Hangup(),)
    assert application.asked("/r") == []


async def test_a_caller_who_hangs_up_has_left_a_voicemail(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(RECORD)
    application.replies["/recorded"] = response()
    application.replies["/recording"] = ""
    result = await twilio.place_call(CallScript(steps=[Speak(clip(200)), HangUp()]))
    assert isinstance(result.outcome, Voicemail)
    assert [seen.params["Digits"] for seen in application.asked("/recorded")] == ["hangup"]
    assert len(application.asked("/recording")) == 1


async def test_the_merged_attributes_fit_into_json(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(ENQUEUE)
    application.replies["/queue"] = response("<Hangup/>")
    result = await twilio.place_call(CallScript(agent=AT_ONCE))
    merged = attributes_of(result.outcome).merged
    assert json.loads(json.dumps(merged)) == merged
