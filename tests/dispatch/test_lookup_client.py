"""Look-ups against services that are sound, slow, talkative, hostile or not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from dispatch.lookup_client import MAX_BODY_BYTES, LookupClient
from dispatch.lookups import LookupTool
from tests.dispatch.wires import Answer, Service, free_port, raw_server, says, service

PARAMETERS = {
    "type": "object",
    "required": ["phone"],
    "properties": {
        "phone": {"type": "string"},
        "open_only": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
ARGUMENTS = {"phone": "+14155550177"}
HTML = {"Content-Type": "text/html"}
LATIN = {"Content-Type": "text/html; charset=latin-1"}
KLINGON = {"Content-Type": "text/plain; charset=klingon"}
CUSTOMER = '{"name":"Rachel Kim","balance":12.5}'


def tool(url: str, **fields: object) -> LookupTool:
    made: dict[str, object] = {
        "name": "customer",
        "description": "The customer with this number.",
        "url": url,
        "parameters": PARAMETERS,
    }
    return LookupTool.model_validate({**made, **fields})


@contextlib.asynccontextmanager
async def looking_up(**secrets: str) -> AsyncIterator[LookupClient]:
    client = LookupClient({name: SecretStr(value) for name, value in secrets.items()})
    try:
        yield client
    finally:
        await client.close()


async def outcome_of(
    asked: Service, arguments: Mapping[str, Any] = ARGUMENTS, **fields: object
) -> tuple[str, Any]:
    async with looking_up() as client:
        answer = await client.ask(tool(f"{asked.url}/customers/{{phone}}", **fields), arguments)
    return answer.outcome, json.loads(answer.output)


# --- what is asked --------------------------------------------------------------------------


async def test_a_get_has_the_escaped_value_in_its_path_and_the_rest_in_its_query() -> None:
    arguments = {"phone": "../admin?x=1#y", "open_only": True, "tags": ["a", "b"]}
    async with service(says(CUSTOMER)) as asked:
        outcome = await outcome_of(asked, arguments)
    (request,) = asked.asked
    assert outcome == ("ok", {"ok": True, "result": {"name": "Rachel Kim", "balance": 12.5}})
    assert request.raw_path.partition("?")[0] == "/customers/%2E%2E%2Fadmin%3Fx%3D1%23y"
    assert dict(request.query) == {"open_only": "true", "tags": '["a","b"]'}


async def test_a_post_has_the_rest_as_json() -> None:
    async with service(says(CUSTOMER)) as asked:
        await outcome_of(asked, {**ARGUMENTS, "open_only": False}, method="POST")
    assert asked.asked[0].method == "POST"
    assert json.loads(asked.bodies[0]) == {"open_only": False}


async def test_the_secret_is_sent_in_its_header_and_nowhere_else() -> None:
    fields = {"secret_env": "CRM_TOKEN", "secret_header": "X-Api-Key"}
    async with service(says(CUSTOMER)) as asked, looking_up(CRM_TOKEN="s3cret") as client:
        answer = await client.ask(tool(f"{asked.url}/c/{{phone}}", **fields), ARGUMENTS)
    request = asked.asked[0]
    assert request.headers["X-Api-Key"] == "s3cret"
    assert "s3cret" not in request.path_qs + answer.output + repr(answer)
    assert "Authorization" not in request.headers


async def test_no_cookie_of_one_call_reaches_another() -> None:
    async with (
        service(says(CUSTOMER, headers={"Set-Cookie": "call=one"})) as asked,
        looking_up() as client,
    ):
        for _ in range(2):
            await client.ask(tool(f"{asked.url}/c/{{phone}}"), ARGUMENTS)
    assert [request.headers.get("Cookie") for request in asked.asked] == [None, None]


# --- redirects ------------------------------------------------------------------------------


async def test_a_redirect_on_the_same_host_is_followed_with_the_secret() -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        if request.path == "/new":
            return web.Response(text=CUSTOMER)
        return web.Response(status=302, headers={"Location": "/new"})

    fields = {"secret_env": "CRM_TOKEN"}
    async with service(moved) as asked, looking_up(CRM_TOKEN="s3cret") as client:
        answer = await client.ask(tool(f"{asked.url}/c/{{phone}}", **fields), ARGUMENTS)
    assert answer.outcome == "ok"
    assert [request.headers["Authorization"] for request in asked.asked] == ["s3cret", "s3cret"]


@pytest.mark.parametrize(
    ("status", "method"), [(307, "POST"), (303, "GET")], ids=["keeps", "turns into GET"]
)
async def test_a_redirected_post(status: int, method: str) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        if request.path == "/new":
            return web.Response(text="{}")
        return web.Response(status=status, headers={"Location": "/new"})

    async with service(moved) as asked:
        await outcome_of(asked, {**ARGUMENTS, "open_only": True}, method="POST")
    assert asked.asked[1].method == method
    assert bool(asked.bodies[1]) is (method == "POST")


@pytest.mark.parametrize("away", ["http://127.0.0.1:1/x", "http://localhost:{port}/", "//evil/x"])
async def test_a_redirect_to_anywhere_else_is_not_followed(away: str) -> None:
    async def sends_away(request: web.Request) -> web.StreamResponse:
        location = away.format(port=request.url.port)
        return web.Response(status=302, headers={"Location": location})

    async with service(sends_away) as asked:
        outcome, told = await outcome_of(asked)
    assert outcome == "redirected_away"
    assert told["problem"].startswith("the service sends us elsewhere")
    assert len(asked.asked) == 1


async def test_a_redirect_without_end_is_not_followed_for_ever() -> None:
    async with service(says("", 302, {"Location": "/again"})) as asked:
        assert (await outcome_of(asked))[0] == "redirected_away"
    assert len(asked.asked) == 4


# --- what comes back ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (says(CUSTOMER, headers=HTML), json.loads(CUSTOMER)),
        (says("open until six"), "open until six"),
        (says("Grüße".encode("latin-1"), headers=LATIN), "Grüße"),
        (says(b"\xff\xfe broken \x00"), "\ufffd\ufffd broken"),
        (says("", 204), ""),
        (says('{"a": NaN}'), '{"a": NaN}'),
        (says("[" * 5000), None),
        (says('"\\ud800"'), "?"),
        (says("{}", headers=KLINGON), {}),
        (says("null"), None),
    ],
    ids=["json whatever it is called", "text", "charset", "bytes", "empty", "nan", "brackets",
         "half a character", "unknown charset", "null"],
)  # fmt: skip
async def test_whatever_comes_back_the_model_gets_json(answer: Answer, result: object) -> None:
    async with service(answer) as asked:
        outcome, told = await outcome_of(asked)
    assert (outcome, told["ok"]) == ("ok", True)
    if result is not None:
        assert told["result"] == result


@pytest.mark.parametrize("limit", [100, 500, 8000])
async def test_a_long_answer_is_cut_to_sound_json_within_its_limit(limit: int) -> None:
    rows = [{"id": number, "note": 'a \\ " note ' * 9} for number in range(400)]
    async with service(says(json.dumps(rows))) as asked, looking_up() as client:
        asking = tool(f"{asked.url}/c/{{phone}}", max_result_chars=limit)
        answer = await client.ask(asking, ARGUMENTS)
    assert answer.cut
    assert len(answer.output) <= limit + 60
    assert json.loads(answer.output)["cut"] == "only the beginning; there is more"


async def test_a_service_that_never_stops_is_not_listened_to_for_ever() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"word " * 10_000)
                sent += 50_000
        return response

    async with service(endless) as asked:
        outcome, told = await outcome_of(asked, timeout_ms=10_000)
    assert (outcome, told["ok"]) == ("ok", True)
    assert sent < 100 * MAX_BODY_BYTES


# --- what goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (400, "refused", "the service refused the question"),
        (401, "not_allowed", "the service does not let us in"),
        (403, "not_allowed", "the service does not let us in"),
        (404, "not_found", "the service found nothing for this"),
        (429, "throttled", "the service is too busy"),
        (500, "failed", "the service has a fault"),
        (503, "failed", "the service has a fault"),
    ],
)
async def test_a_status_becomes_words(status: int, outcome: str, words: str) -> None:
    async with service(says("secret details", status)) as asked:
        got, told = await outcome_of(asked)
    assert (got, told["ok"]) == (outcome, False)
    assert told["problem"].startswith(words)
    assert "secret details" not in told["problem"]
    assert ("do not invent an answer" in told["problem"]) is (status != 404)


async def test_a_slow_service_costs_its_deadline_and_becomes_words() -> None:
    async def slow(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with service(slow) as asked:
        outcome, told = await outcome_of(asked, timeout_ms=100)
    assert outcome == "timeout"
    assert told["problem"].startswith("the service did not answer in time")


async def test_a_service_that_drips_costs_its_deadline_too() -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b".")
                await asyncio.sleep(0.01)
        return response

    async with service(dripping) as asked:
        assert (await outcome_of(asked, timeout_ms=200))[0] == "timeout"


async def test_a_service_that_is_not_there_becomes_words() -> None:
    async with looking_up() as client:
        answer = await client.ask(tool(f"http://127.0.0.1:{free_port()}/{{phone}}"), ARGUMENTS)
    assert answer.outcome == "unreachable"


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"],
    ids=["silence", "another protocol", "half an answer"],
)
async def test_nonsense_on_the_wire_becomes_words(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(talk) as url, looking_up() as client:
        got = await client.ask(tool(f"{url}/{{phone}}"), ARGUMENTS)
    assert got.outcome == "broken_off"
    assert json.loads(got.output)["ok"] is False


async def test_look_ups_wait_for_a_place_within_their_own_deadline() -> None:
    at_once, most = 0, 0

    async def counted(_request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        return web.Response(text="{}")

    client = LookupClient({}, at_once=2)
    async with service(counted) as asked:
        asking = tool(f"{asked.url}/c/{{phone}}", timeout_ms=5000)
        answers = await asyncio.gather(*(client.ask(asking, ARGUMENTS) for _ in range(8)))
        await client.close()
    assert [answer.outcome for answer in answers] == ["ok"] * 8
    assert most == 2
