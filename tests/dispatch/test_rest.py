"""REST calls against the simulated Twilio, which refuses what its OpenAPI excerpt does not know."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from dataclasses import replace

import pytest

from dispatch.rest import CallbackTask, CallState, FlowExecution, TextMessage
from dispatch.rest_client import InDoubtError, NotDoneError, RefusedError, RestPace
from loadtest.twilio import Agent, CallEvent, CallScript
from tests.dispatch.wires import (
    QUICK,
    WORKSPACE,
    free_port,
    raw_server,
    rest_of,
    twilio,
)

CALL = "CA" + "c" * 32
FLOW = "FW" + "1" * 32
TASK = CallbackTask(
    call_sid=CALL,
    workspace_sid=WORKSPACE,
    workflow_sid="WW" + "2" * 32,
    task_channel="default",
    priority=10,
    timeout_s=600,
    attributes=json.dumps({"call_sid": CALL, "task_key": "one", "intent": "billing"}),
    task_key="one",
)
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
EXECUTION = FlowExecution(FLOW, "+14155550177", "+14155550100", {"intent": "billing"}, LONG_AGO)
PAGE = TextMessage("+14155550112", "+14155550100", "ACME: emergency. TR-20260812-0042.", LONG_AGO)


async def test_a_callback_task_arrives_with_its_workflow_channel_priority_and_attributes() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        sid = await rest.create_callback_task(TASK)
        (task,) = simulated.tasks
    assert (task.sid, task.workflow_sid, task.channel) == (sid, TASK.workflow_sid, "default")
    assert (task.priority, task.timeout_s, task.by_rest) == (10, 600, True)
    assert task.attributes == json.loads(TASK.attributes)


async def test_an_execution_arrives_with_its_parameters() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        sid = await rest.start_execution(EXECUTION)
        (execution,) = simulated.executions
    assert (execution.sid, execution.flow_sid) == (sid, FLOW)
    assert (execution.contact, execution.from_number) == ("+14155550177", "+14155550100")
    assert execution.parameters == {"intent": "billing"}


async def test_a_message_arrives() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        sid = await rest.send_sms(PAGE)
        (message,) = simulated.messages
    assert message.sid == sid
    assert message.fields == {"To": PAGE.to, "From": PAGE.from_number, "Body": PAGE.body}


# --- repeating ------------------------------------------------------------------------------


async def test_what_was_throttled_is_asked_again_and_done_once() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.throttle_next(2, "CreateTask")
        await rest.create_callback_task(TASK)
        assert [call.status for call in simulated.rest_calls] == [429, 429, 201]
        assert len(simulated.tasks) == 1


async def test_throttling_that_goes_on_is_not_done_and_says_so() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.throttle_next(9)
        with pytest.raises(NotDoneError, match=r"create_task was throttled \(429, code 20429\)"):
            await rest.create_callback_task(TASK)
        assert len(simulated.rest_calls) == QUICK.tries


async def test_who_cannot_be_reached_is_not_done() -> None:
    async with rest_of(f"http://127.0.0.1:{free_port()}") as rest:
        with pytest.raises(NotDoneError, match="create_task did not reach Twilio"):
            await rest.create_callback_task(TASK)


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_fault_at_twilio_is_in_doubt_and_never_asked_again_by_itself(
    carried_out: bool,
) -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.fail_next(1, "CreateTask", carried_out=carried_out)
        with pytest.raises(InDoubtError, match=r"create_task failed at Twilio \(500, code 20500\)"):
            await rest.create_callback_task(TASK)
        assert len(simulated.rest_calls) == 1
        await rest.create_callback_task(TASK, in_doubt=True)
        assert len(simulated.tasks) == 1


async def test_a_connection_that_breaks_after_the_request_is_in_doubt() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.drop_next(1, "CreateMessage")
        with pytest.raises(InDoubtError, match="create_message got no whole answer"):
            await rest.send_sms(PAGE)
        assert await rest.send_sms(PAGE, in_doubt=True) == simulated.messages[0].sid
        assert len(simulated.messages) == 1


async def test_an_answer_that_comes_too_late_is_in_doubt() -> None:
    pace = replace(QUICK, deadline_s=0.05)
    async with twilio() as simulated, rest_of(simulated.rest_url, pace) as rest:
        simulated.rest_faults.delay_next(30.0, 1, "CreateExecution")
        with pytest.raises(InDoubtError, match="create_execution was not answered in time"):
            await rest.start_execution(EXECUTION)


async def test_a_deadline_that_ends_between_two_tries_leaves_no_doubt() -> None:
    pace = RestPace(deadline_s=0.05, tries=9, first_wait_s=60.0, longest_wait_s=60.0)
    async with twilio() as simulated, rest_of(simulated.rest_url, pace) as rest:
        simulated.rest_faults.throttle_next(9)
        with pytest.raises(NotDoneError, match="was throttled until its deadline"):
            await rest.create_callback_task(TASK)


async def test_nonsense_for_an_answer_is_in_doubt() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\n<html>")
        await writer.drain()

    async with raw_server(nonsense) as url, rest_of(url) as rest:
        with pytest.raises(InDoubtError, match="create_task was answered with nonsense"):
            await rest.create_callback_task(TASK)


# --- refusals -------------------------------------------------------------------------------


async def test_a_refusal_tells_the_code_but_nothing_of_what_was_sent() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        with pytest.raises(RefusedError) as refused:
            await rest.send_sms(replace(PAGE, body="x" * 1601))
    assert (refused.value.status, refused.value.code) == (400, 21617)
    assert str(refused.value) == "create_message was refused (400, code 21617)"


async def test_wrong_credentials_are_refused() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url, password="wrong") as rest:
        with pytest.raises(RefusedError, match=r"\(401, code 20003\)"):
            await rest.send_sms(PAGE)


async def test_an_api_key_stands_for_the_account() -> None:
    key = "SK" + "9" * 32
    async with (
        twilio(api_keys={key: "secret"}) as simulated,
        rest_of(simulated.rest_url, password="secret", username=key) as rest,
    ):
        await rest.send_sms(PAGE)
        assert len(simulated.messages) == 1


# --- looking before repeating ---------------------------------------------------------------


async def test_the_task_of_the_same_calls_enqueue_is_not_taken_for_ours() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.exchange.taskrouter.create(TASK.workflow_sid, {"call_sid": CALL})
        await rest.create_callback_task(TASK, in_doubt=True)
        assert [task.by_rest for task in simulated.tasks] == [False, True]


async def test_an_older_execution_of_the_same_contact_is_not_taken_for_ours() -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        first = await rest.start_execution(EXECUTION)
        simulated.exchange.directory.end_execution(first)
        second = await rest.start_execution(replace(EXECUTION, since=tomorrow), in_doubt=True)
        assert second != first


async def test_an_execution_in_doubt_is_found_by_its_contact() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        first = await rest.start_execution(EXECUTION)
        assert await rest.start_execution(EXECUTION, in_doubt=True) == first
        assert len(simulated.executions) == 1


async def test_a_look_up_that_is_throttled_changes_nothing() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.throttle_next(9, "ListTask")
        with pytest.raises(NotDoneError, match=r"list_tasks was throttled \(429, code 20429\)"):
            await rest.create_callback_task(TASK, in_doubt=True)
        assert not simulated.tasks


async def test_a_contact_in_another_execution_has_to_wait() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        await rest.start_execution(EXECUTION)
        with pytest.raises(NotDoneError, match="the contact is in another execution"):
            await rest.start_execution(EXECUTION)


async def test_another_message_to_the_same_person_is_not_taken_for_ours() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        await rest.send_sms(replace(PAGE, body="another"))
        await rest.send_sms(PAGE, in_doubt=True)
        assert [message.fields["Body"] for message in simulated.messages] == ["another", PAGE.body]


# --- the call itself ------------------------------------------------------------------------

WAITING = '<Response><Enqueue workflowSid="WW22222222222222222222222222222222"/></Response>'


async def test_a_live_call_is_moved_to_another_document() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        script = CallScript(twiml=WAITING, agent=Agent(after_ms=None), max_call_ms=20_000)
        arrived = asyncio.Event()

        def observe(event: CallEvent) -> None:
            if event.kind == "verb":
                arrived.set()

        placed = asyncio.create_task(simulated.place_call(script, observe))
        await arrived.wait()
        call_sid = next(iter(simulated.exchange.directory.live))
        assert await rest.fetch_call(call_sid) == CallState("in-progress")
        assert await rest.move_call(call_sid, "<Response><Hangup/></Response>") == "moved"
        await placed
        over = await rest.fetch_call(call_sid)
        assert over is not None
        assert (over.status, over.live, over.duration_s) == ("completed", False, 1)
        assert over.ended_at is not None
        assert await rest.move_call(call_sid, "<Response/>") == "caller_gone"


async def test_a_call_that_nobody_knows_is_gone() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        assert await rest.move_call(CALL, "<Response/>") == "caller_gone"
        assert await rest.fetch_call(CALL) is None


async def test_an_unclear_move_of_a_call_that_is_over_means_its_caller_left() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.fail_next(1, "UpdateCall")
        assert await rest.move_call(CALL, "<Response/>") == "caller_gone"


async def test_a_document_that_twilio_would_cut_is_not_sent() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        with pytest.raises(ValueError, match="has 4001 characters, allowed are 4000"):
            await rest.move_call(CALL, "x" * 4001)
        assert not simulated.rest_calls


# --- what a file refers to ------------------------------------------------------------------


async def test_workflows_channels_and_flows_are_looked_up() -> None:
    workflow = "WW" + "2" * 32
    routing: dict[str, object] = {"task_routing": {"filters": []}}
    settings = {"workflows": {workflow: routing}, "flows": {FLOW: "published"}}
    async with twilio(**settings) as simulated, rest_of(simulated.rest_url) as rest:
        assert await rest.workflow_configuration(WORKSPACE, workflow) == routing
        assert await rest.workflow_configuration(WORKSPACE, "WW" + "3" * 32) is None
        assert await rest.workflow_configuration("WS" + "4" * 32, workflow) is None
        assert await rest.flow_status(FLOW) == "published"
        assert await rest.flow_status("FW" + "5" * 32) is None
        channels = await rest.task_channels(WORKSPACE)
        assert channels is not None
        assert {"default", "voice", "TC" + "0" * 32} <= channels
        assert await rest.task_channels("WS" + "4" * 32) is None


async def test_many_requests_at_once_share_one_client() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        bodies = [f"page {number}" for number in range(60)]
        await asyncio.gather(*(rest.send_sms(replace(PAGE, body=body)) for body in bodies))
        assert sorted(message.fields["Body"] for message in simulated.messages) == sorted(bodies)
