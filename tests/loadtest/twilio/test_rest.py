"""The REST side, asked with Twilio's own client."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.http.async_http_client import (  # type: ignore[import-untyped]
    AsyncTwilioHttpClient,
)
from twilio.rest import Client  # type: ignore[import-untyped]

from loadtest.twilio import (
    Agent,
    CallResult,
    CallScript,
    CompletedByRest,
    FellOffTheEnd,
    FlexTask,
    Settings,
    SimulatedTwilio,
    StreamEnd,
    StudioReturn,
    rest_schema,
)
from loadtest.twilio.resources import HANDLERS
from tests.loadtest.twilio.conftest import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    FLOW_SID,
    PUBLIC,
    STUDIO,
    WORKFLOW_SID,
    Application,
    MediaServer,
    Socket,
    response,
)

UNKNOWN_CALL = "CA" + "9" * 32
WORKSPACE_SID = "WS" + "0" * 32


class Redirected(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Sends what is meant for Twilio to the simulator."""

    base = ""

    async def request(self, method: str, url: str, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        parts = urlsplit(url)
        here = f"{self.base}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return await super().request(method, here, *rest, **named)


@pytest.fixture
async def client(twilio: SimulatedTwilio) -> AsyncIterator[Any]:
    http = Redirected()
    http.base = twilio.rest_url
    yield Client(ACCOUNT_SID, AUTH_TOKEN, http_client=http)
    await http.close()


Act = Callable[[Socket], Awaitable[None]]


async def call_with(
    twilio: SimulatedTwilio, media: MediaServer, application: Application, act: Act
) -> CallResult:
    """A call whose stream does ``act`` with the REST API and then waits for ``stop``."""

    async def behave(socket: Socket) -> None:
        await socket.until("start")
        await act(socket)
        await socket.until("stop")

    media.behaviour = behave
    application.replies["/voice"] = response(
        f'<Connect action="/after"><Stream url="wss://{PUBLIC}/media"/></Connect>'
    )
    application.replies["/after"] = response("<Hangup/>")
    script = CallScript(max_call_ms=10_000, agent=Agent(after_ms=0))
    return await twilio.place_call(script)


def call_sid(socket: Socket) -> str:
    return str(socket.of("start")[0]["start"]["callSid"])


async def test_an_update_with_twiml_ends_the_stream_and_the_call_lives(
    twilio: SimulatedTwilio, media: MediaServer, application: Application, client: Client
) -> None:
    answers: list[str] = []

    async def move(socket: Socket) -> None:
        twiml = response(f"<Redirect>{STUDIO}?FlowEvent=return&amp;intent=faq</Redirect>")
        call = await client.calls(call_sid(socket)).update_async(twiml=twiml)
        answers.append(call.status)

    result = await call_with(twilio, media, application, move)
    assert answers == ["in-progress"]
    assert media.socket.messages[-1]["event"] == "stop"
    assert result.streams[0].end is StreamEnd.STOPPED
    assert result.outcome == StudioReturn(FLOW_SID, {"intent": "faq"})
    assert application.asked("/after") == []
    assert result.errors == ()


async def test_an_update_with_a_url_asks_there(
    twilio: SimulatedTwilio, media: MediaServer, application: Application, client: Client
) -> None:
    application.replies["/moved"] = response(f'<Enqueue workflowSid="{WORKFLOW_SID}"/>')

    async def move(socket: Socket) -> None:
        await client.calls(call_sid(socket)).update_async(url=f"https://{PUBLIC}/moved")

    result = await call_with(twilio, media, application, move)
    assert isinstance(result.outcome, FlexTask)
    assert result.outcomes[-1] == FellOffTheEnd()
    assert application.asked("/moved")[0].params["CallStatus"] == "in-progress"


async def test_completing_a_call_hangs_up(
    twilio: SimulatedTwilio, media: MediaServer, application: Application, client: Client
) -> None:
    async def finish(socket: Socket) -> None:
        await client.calls(call_sid(socket)).update_async(status="completed")

    result = await call_with(twilio, media, application, finish)
    assert result.outcomes == (CompletedByRest(),)
    ended = await client.calls(result.call_sid).fetch_async()
    assert (ended.status, ended.sid) == ("completed", result.call_sid)
    assert int(ended.duration) >= 1


async def refused(asking: Awaitable[Any]) -> tuple[int, int, str]:
    with pytest.raises(TwilioRestException) as error:
        await asking
    return error.value.status, error.value.code, error.value.msg


async def test_a_call_that_is_over_cannot_be_updated(
    twilio: SimulatedTwilio, application: Application, client: Client
) -> None:
    application.replies["/voice"] = response("<Hangup/>")
    result = await twilio.place_call(CallScript())
    twiml = response("<Hangup/>")
    status, code, _ = await refused(client.calls(result.call_sid).update_async(twiml=twiml))
    assert (status, code) == (400, 21220)
    status, code, _ = await refused(client.calls(UNKNOWN_CALL).update_async(twiml=twiml))
    assert (status, code) == (404, 20404)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"Twiml": "<Response>"}, "Twiml is not TwiML: not well-formed XML"),
        ({"Twiml": response(f"<Say>{'x' * 4000}</Say>")}, "expected at most 4000"),
        ({"Twiml": response(), "Url": "https://x.example/"}, "Twiml and Url exclude each other"),
        ({"Url": "/relative"}, "Url is not an absolute http or https URL"),
        ({"Status": "busy"}, "Status is 'busy', expected one of canceled, completed"),
        ({"Method": "PUT"}, "Method is 'PUT', expected one of GET, POST"),
        ({"TimeLimit": "soon"}, "TimeLimit is 'soon', expected an integer"),
        ({"Language": "en"}, "Language is not a known field"),
    ],
    ids=["broken", "too long", "both", "relative", "status", "method", "number", "unknown"],
)
async def test_a_wrong_update_is_refused_and_changes_nothing(
    twilio: SimulatedTwilio,
    media: MediaServer,
    application: Application,
    fields: dict[str, str],
    complaint: str,
) -> None:
    answers: list[tuple[int, dict[str, Any]]] = []

    async def update(socket: Socket) -> None:
        path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{call_sid(socket)}.json"
        answers.append(await post(twilio, path, fields))
        await socket.connection.close()

    result = await call_with(twilio, media, application, update)
    ((status, body),) = answers
    assert status == 400
    assert complaint in body["message"]
    assert result.streams[0].end is StreamEnd.CLOSED_BY_SERVER


async def post(
    twilio: SimulatedTwilio, path: str, fields: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN)}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{twilio.rest_url}{path}", data=fields, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_only_the_token_and_api_keys_get_in(settings: Settings) -> None:

    with_key = dataclasses.replace(settings, api_keys={"SK1": "secret"})
    statuses = []
    async with SimulatedTwilio(with_key) as twilio:
        url = f"{twilio.rest_url}/v2/Flows/{FLOW_SID}/Executions"
        for user, password in [
            (ACCOUNT_SID, AUTH_TOKEN),
            ("SK1", "secret"),
            (ACCOUNT_SID, "secret"),
            ("", ""),
        ]:
            headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers=headers) as answer,
            ):
                statuses.append(answer.status)
    assert statuses == [200, 200, 401, 401]


async def test_a_task_is_made_found_by_its_call_and_updated(
    twilio: SimulatedTwilio, client: Client
) -> None:
    workspace = client.taskrouter.v1.workspaces(WORKSPACE_SID)
    attributes = json.dumps({"call_sid": UNKNOWN_CALL, "reason": "call back"})
    made = await workspace.tasks.create_async(
        attributes=attributes, workflow_sid=WORKFLOW_SID, priority=7, timeout=60
    )
    await workspace.tasks.create_async(attributes="{}", workflow_sid=WORKFLOW_SID)
    condition = f'call_sid == "{UNKNOWN_CALL}"'
    found = await workspace.tasks.list_async(evaluate_task_attributes=condition)
    assert [task.sid for task in found] == [made.sid]
    assert (made.priority, made.timeout, made.assignment_status) == (7, 60, "pending")
    await workspace.tasks(made.sid).update_async(assignment_status="canceled", reason="done")
    fetched = await workspace.tasks(made.sid).fetch_async()
    assert (fetched.assignment_status, fetched.reason) == ("canceled", "done")
    assert [task.by_rest for task in twilio.tasks] == [True, True]


async def test_an_enqueued_call_is_found_by_its_sid(
    twilio: SimulatedTwilio, application: Application, client: Client
) -> None:
    application.replies["/voice"] = response(f'<Enqueue workflowSid="{WORKFLOW_SID}"/>')
    result = await twilio.place_call(CallScript(agent=Agent(after_ms=0)))
    tasks = client.taskrouter.v1.workspaces(WORKSPACE_SID).tasks
    condition = f"call_sid=='{result.call_sid}' AND direction == 'inbound'"
    found = await tasks.list_async(evaluate_task_attributes=condition)
    assert [json.loads(task.attributes)["call_sid"] for task in found] == [result.call_sid]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "WorkflowSid is missing"),
        ({"WorkflowSid": "WW1"}, "WorkflowSid does not match"),
        ({"Attributes": "[]"}, "Attributes: attributes are a JSON list"),
        ({"Attributes": '{"x":"' + "y" * 4096 + '"}'}, "characters long, expected 4096"),
        ({"Priority": "-1"}, "Priority is -1, expected 0 to 2147483647"),
        ({"Timeout": "1209601"}, "Timeout is 1209601, expected 0 to 1209600"),
        ({"VirtualStartTime": "2999-01-01T00:00:00Z"}, "VirtualStartTime lies in the future"),
        ({"UniqueName": "once"}, "UniqueName is not a known field"),
    ],
    ids=lambda value: next(iter(value), "nothing") if isinstance(value, dict) else "",
)
async def test_a_wrong_task_is_refused(
    twilio: SimulatedTwilio, fields: dict[str, str], complaint: str
) -> None:
    given = {"WorkflowSid": WORKFLOW_SID, **fields} if fields else fields
    status, body = await post(twilio, f"/v1/Workspaces/{WORKSPACE_SID}/Tasks", given)
    assert (status, body["code"]) == (400, 20001)
    assert complaint in body["message"]
    assert list(twilio.tasks) == []


async def test_a_contact_has_one_active_execution_at_a_time(
    twilio: SimulatedTwilio, client: Client
) -> None:
    executions = client.studio.v2.flows(FLOW_SID).executions
    to, from_ = "+14155550142", "+14155550100"
    first = await executions.create_async(to=to, from_=from_, parameters={"intent": "billing"})
    with pytest.raises(TwilioRestException) as conflict:
        await executions.create_async(to=to, from_=from_)
    assert (conflict.value.status, conflict.value.code) == (409, 20409)
    assert conflict.value.details == {"conflicting_execution_sid": first.sid}
    await executions(first.sid).update_async(status="ended")
    second = await executions.create_async(to=to, from_=from_)
    listed = await executions.list_async()
    assert [(each.sid, each.status) for each in listed] == [
        (first.sid, "ended"),
        (second.sid, "active"),
    ]
    assert [execution.parameters for execution in twilio.executions] == [
        {"intent": "billing"},
        {},
    ]


async def test_a_message_is_kept_and_listed(twilio: SimulatedTwilio, client: Client) -> None:
    sent = await client.messages.create_async(
        to="+14155550142", from_="+14155550100", body="We call you back."
    )
    listed = await client.messages.list_async(to="+14155550142")
    assert [(each.sid, each.body, each.status) for each in listed] == [
        (sent.sid, "We call you back.", "queued")
    ]
    assert [dict(message.fields) for message in twilio.messages] == [
        {"To": "+14155550142", "From": "+14155550100", "Body": "We call you back."}
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"From": "+1", "Body": "x"}, 20001),
        ({"To": "+1", "Body": "x"}, 21603),
        ({"To": "+1", "From": "+1"}, 21619),
        ({"To": "+1", "From": "+1", "Body": "x" * 1601}, 21617),
    ],
    ids=["no recipient", "no sender", "no content", "too long"],
)
async def test_a_wrong_message_is_refused(
    twilio: SimulatedTwilio, fields: dict[str, str], code: int
) -> None:
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
    status, body = await post(twilio, path, fields)
    assert (status, body["code"]) == (400, code)
    assert list(twilio.messages) == []


async def test_a_throttled_request_was_not_carried_out(
    twilio: SimulatedTwilio, client: Client
) -> None:
    twilio.rest_faults.throttle_next(2, "CreateMessage")
    create = client.messages.create_async
    for _ in range(2):
        status, code, _ = await refused(create(to="+1", from_="+1", body="x"))
        assert (status, code) == (429, 20429)
    assert list(twilio.messages) == []
    await create(to="+1", from_="+1", body="x")
    assert len(twilio.messages) == 1
    assert [call.status for call in twilio.rest_calls] == [429, 429, 201]


async def test_a_failed_request_may_have_been_carried_out_or_not(
    twilio: SimulatedTwilio, client: Client
) -> None:
    twilio.rest_faults.fail_next()
    twilio.rest_faults.fail_next(carried_out=True)
    for _ in range(2):
        asking = client.messages.create_async(to="+1", from_="+1", body="x")
        assert (await refused(asking))[:2] == (500, 20500)
    assert len(twilio.messages) == 1


async def test_a_dropped_connection_leaves_the_work_done(
    twilio: SimulatedTwilio, client: Client
) -> None:
    twilio.rest_faults.drop_next()
    with pytest.raises(aiohttp.ClientError):
        await client.messages.create_async(to="+1", from_="+1", body="x")
    assert len(twilio.messages) == 1
    assert [call.status for call in twilio.rest_calls] == [None]


async def test_an_answer_can_be_late(twilio: SimulatedTwilio, client: Client) -> None:
    twilio.rest_faults.delay_next(0.2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.messages.list_async(), 0.05)


async def test_what_is_answered_has_only_fields_of_twilios_description(
    twilio: SimulatedTwilio, application: Application, client: Client
) -> None:
    application.replies["/voice"] = response(f'<Enqueue workflowSid="{WORKFLOW_SID}"/>')
    result = await twilio.place_call(CallScript(agent=Agent(after_ms=0)))
    bodies = {
        "FetchCall": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{result.call_sid}.json",
        "FetchTask": f"/v1/Workspaces/{WORKSPACE_SID}/Tasks/{twilio.tasks[0].sid}",
    }
    await client.messages.create_async(to="+1", from_="+1", body="x")
    await client.studio.v2.flows(FLOW_SID).executions.create_async(to="+1", from_="+1")
    listed = {
        "ListMessage": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        "ListExecution": f"/v2/Flows/{FLOW_SID}/Executions",
    }
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN)}
    async with aiohttp.ClientSession(twilio.rest_url, headers=headers) as session:
        for name, path in (bodies | listed).items():
            operation = rest_schema.operations()[name]
            async with session.get(path) as answer:
                body = await answer.json()
            resource = body[operation.list_key][0] if operation.list_key else body
            allowed = rest_schema.answer_fields(operation.answer)
            assert resource.keys() <= allowed.keys()
            assert [
                field
                for field, value in resource.items()
                if value is None and not allowed[field].get("nullable")
            ] == []


def test_every_described_operation_has_its_handler() -> None:
    assert set(rest_schema.operations()) | {"UpdateExecution"} == set(HANDLERS)
