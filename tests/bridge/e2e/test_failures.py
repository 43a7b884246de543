"""Where a call goes when its destination does not take it: the next route, told once."""

from __future__ import annotations

import pytest

from loadtest.twilio import Agent, Callee, Dialled, FlexTask, Hangup, StudioReturn, Voicemail
from loadtest.twilio.people import DialStatus, QueueRefusal
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import System, model, routes_to

DUTY = "+14155550111"
ACCEPTS = {DUTY: Callee(rings_ms=20, keys=((20, "1"),))}


@pytest.mark.parametrize("refusal", ["queue-full", "error", "system-error", "leave"])
async def test_a_queue_that_does_not_take_the_call_leads_to_the_phone(
    start: Start, refusal: QueueRefusal
) -> None:
    system = await start(model(routes_to("billing")))
    call = await system.call(agent=Agent(refusal=refusal), callees=ACCEPTS)
    kinds = [type(outcome) for outcome in call.outcomes]
    assert kinds == [FlexTask, Dialled, Hangup]
    assert isinstance(call.outcome, Dialled)
    assert call.outcome.bridged
    steps = [(one.key, one.status, one.fields["route"]) for one in await system.reports(call)]
    assert steps == [("step-0", refusal, "agents"), ("step-1", "completed", "duty")]


@pytest.mark.parametrize(
    ("callee", "status"),
    [
        (Callee(answer="busy", rings_ms=20), "busy"),
        (Callee(answer="failed", rings_ms=20), "failed"),
        (Callee(answer="no-answer", rings_ms=20), "no-answer"),
        (Callee(rings_ms=20, keys=((20, "2"),)), "not-accepted"),
        (Callee(rings_ms=20, hangs_up_after_ms=50), "not-accepted"),
    ],
    ids=["busy", "failed", "no answer", "refuses", "hangs up on the whisper"],
)
async def test_a_phone_that_does_not_take_the_call_leads_to_the_page_and_the_voicemail(
    start: Start, callee: Callee, status: DialStatus
) -> None:
    system = await start(model(routes_to("emergency", summary="Pipe burst.")))
    call = await system.call(callees={DUTY: callee})
    assert isinstance(call.outcome, Voicemail)
    await told_the_owner(system, call.call_sid)
    steps = [report for report in await system.reports(call) if report.key.startswith("step")]
    assert [(one.status, one.fields["route"]) for one in steps] == [
        (status, "duty"),
        ("recorded", "message"),
    ]


async def told_the_owner(system: System, call_sid: str) -> None:
    """Once by message and once by mail."""
    entries = await system.outbox.entries(("pending", "done", "dead"), 50, call_sid)
    assert sorted((one.kind, one.key) for one in entries) == [
        ("email", "owner/0"),
        ("sms", "owner/0"),
    ]


async def test_the_whole_chain_of_a_call_is_gone_through(start: Start) -> None:
    system = await start(model(routes_to("billing")))
    busy = {DUTY: Callee(answer="busy", rings_ms=20)}
    call = await system.call(agent=Agent(refusal="queue-full"), callees=busy)
    assert [type(one) for one in call.outcomes] == [FlexTask, Dialled, Voicemail, Hangup]
    await system.delivered(call, 2)
    assert len(system.twilio.messages) == len(system.mailbox.taken) == 1


async def test_every_request_may_come_twice(start: Start) -> None:
    """As after a lost answer: nobody is paged twice, and nothing is decided anew."""
    repeated = {"voice", "connect action", "enqueue action", "dial action", "whisper"}
    system = await start(
        model(routes_to("billing")), twilio={"repeated_webhooks": frozenset(repeated)}
    )
    busy = {DUTY: Callee(answer="busy", rings_ms=20)}
    call = await system.call(agent=Agent(refusal="queue-full"), callees=busy)
    assert [type(one) for one in call.outcomes] == [FlexTask, Dialled, Voicemail, Hangup]
    await system.delivered(call, 2)
    assert len(system.twilio.messages) == len(system.mailbox.taken) == 1
    assert len(system.realtime.sessions) == 1


async def test_a_throttled_page_arrives_once(start: Start) -> None:
    system = await start(model(routes_to("boss")))
    system.twilio.rest_faults.throttle_next(5, "CreateMessage")
    call = await system.call()
    await system.delivered(call, 2)
    assert len(system.twilio.messages) == 1


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_task_whose_answer_was_lost_is_looked_up_before_it_is_made_again(
    start: Start, carried_out: bool
) -> None:
    system = await start(model(routes_to("later")))
    system.twilio.rest_faults.fail_next(1, "CreateTask", carried_out=carried_out)
    call = await system.call()
    (effect,) = await system.delivered(call, 1)
    (task,) = system.twilio.tasks
    assert (effect.state, effect.result, effect.attempts) == ("done", task.sid, 2)
    asked = [one.operation for one in system.twilio.rest_calls]
    expected = ["CreateTask", "ListTask"] + ([] if carried_out else ["CreateTask"])
    assert asked == expected


async def test_a_mail_server_that_refuses_for_good_leaves_a_dead_letter(start: Start) -> None:
    system = await start(model(routes_to("boss")))
    system.mailbox.refuse = "550 no such user"
    call = await system.call()
    effects = {effect.kind: effect for effect in await system.delivered(call, 2)}
    assert (effects["email"].state, effects["email"].error) == (
        "dead",
        "SMTP server refused with 550",
    )
    assert effects["sms"].state == "done"


async def test_a_decision_that_cannot_be_written_moves_the_call_by_rest(start: Start) -> None:
    """Another program holds the database while the call is decided."""
    system = await start(model(routes_to("schedule"), said=["An appointment please."]))
    with system.locked_from("caller_speaks"):
        call = await system.call()
    assert isinstance(call.outcome, StudioReturn)
    assert call.outcome.params["intent"] == "schedule"
    assert [one.operation for one in system.twilio.rest_calls] == ["UpdateCall"]
