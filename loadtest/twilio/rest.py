"""The REST side on one local port: authenticated, checked, and faulty on request.

``api.twilio.com``, ``taskrouter.twilio.com`` and ``studio.twilio.com`` have different paths, so one
server can be all of them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import io
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

import audiocodecs
from loadtest.twilio import resources, rest_schema
from loadtest.twilio.faults import RestFault, RestFaults
from loadtest.twilio.resources import Json, Request, RestError
from loadtest.twilio.rest_schema import Form, Operation

if TYPE_CHECKING:
    from loadtest.twilio.call import Exchange

_SID = {"type": "string", "minLength": 34, "maxLength": 34}
# Not in the excerpt: https://www.twilio.com/docs/studio/rest-api/v2/execution
_UPDATE_EXECUTION = Operation(
    "UpdateExecution",
    "POST",
    "/v2/Flows/{FlowSid}/Executions/{Sid}",
    {
        "FlowSid": {**_SID, "pattern": "^FW[0-9a-fA-F]{32}$"},
        "Sid": {**_SID, "pattern": "^FN[0-9a-fA-F]{32}$"},
    },
    query={},
    fields={"Status": {"type": "string", "enum": ["ended"]}},
    required=["Status"],
    status=200,
    answer="studio.v2.flow.execution",
)
MAX_CALLS = 10_000
_RECORDING_PATH = "/2010-04-01/Accounts/{AccountSid}/Recordings/{Sid:RE[0-9a-f]+}"


@dataclass(frozen=True, slots=True)
class RestCall:
    """One request that came in; ``status`` None when the connection was dropped instead."""

    operation: str
    path: Mapping[str, str]
    form: Form
    status: int | None


class RestServer:
    """Started and stopped by the platform. ``calls`` holds the latest requests in order."""

    def __init__(self, exchange: Exchange, faults: RestFaults) -> None:
        self._exchange = exchange
        self._faults = faults
        self._runner: web.AppRunner | None = None
        self._under_way = 0
        self.calls: deque[RestCall] = deque(maxlen=MAX_CALLS)

    async def start(self, port: int) -> str:
        """Listen on loopback (0: any free port); the base URL."""
        app = web.Application()
        for operation in (*rest_schema.operations().values(), _UPDATE_EXECUTION):
            handler = self._handler(operation)
            app.router.add_route(operation.method, operation.path, handler)
        app.router.add_get(_RECORDING_PATH, self._recording)
        app.router.add_get(_RECORDING_PATH + ".wav", self._recording)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _handler(
        self, operation: Operation
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._under_way += 1
            try:
                return await self._serve(operation, request)
            finally:
                self._under_way -= 1

        return handle

    async def _serve(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        form = _lists((await request.post()).items())
        asked = Request(dict(request.match_info), _lists(request.query.items()), form)
        fault = self._faults.take(operation.name)
        status, body = await self._answer(operation, request, asked, fault)
        dropped = fault is not None and fault.drop
        self.calls.append(RestCall(operation.name, asked.path, form, None if dropped else status))
        if dropped and request.transport is not None:
            request.transport.abort()
        headers = {"Twilio-Concurrent-Requests": str(self._under_way)}
        return web.json_response(body, status=status, headers=headers)

    async def _answer(
        self, operation: Operation, request: web.Request, asked: Request, fault: RestFault | None
    ) -> tuple[int, Json]:
        try:
            self._authenticate(request)
            if fault is not None:
                await asyncio.sleep(fault.delay_s)
                if fault.status is not None and not fault.carried_out:
                    raise _planned(fault.status, fault.code)
            body = self._carry_out(operation, asked)
            if fault is not None and fault.status is not None:
                raise _planned(fault.status, fault.code)
        except RestError as error:
            return error.status, error.as_json()
        return operation.status, body

    def _carry_out(self, operation: Operation, asked: Request) -> Json:
        settings = self._exchange.settings
        ours = {"AccountSid": settings.account_sid, "WorkspaceSid": settings.workspace_sid}
        faults = operation.faults(asked.path, asked.query, asked.form)
        if faults:
            raise RestError(400, 20001, "; ".join(faults))
        for name, value in ours.items():
            if asked.path.get(name, value) != value:
                raise resources.not_found(f"/{asked.path[name]}")
        return resources.HANDLERS[operation.name](self._exchange, asked)

    def _authenticate(self, request: web.Request) -> None:
        """HTTP Basic with the account's token, or with an API key and its secret."""
        settings = self._exchange.settings
        user, password = _basic(request.headers.get("Authorization", ""))
        known = {settings.account_sid: settings.auth_token, **settings.api_keys}
        expected = known.get(user, "")
        if not expected or not hmac.compare_digest(expected.encode(), password.encode()):
            raise RestError(401, 20003, "Authenticate")

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        """The audio of a ``<Record>``, as a WAV file."""
        try:
            self._authenticate(request)
            stored = self._exchange.directory.recording(request.match_info["Sid"])
            if stored is None:
                raise resources.not_found("/Recordings")
        except RestError as error:
            return web.json_response(error.as_json(), status=error.status)
        file = io.BytesIO()
        audiocodecs.write_wav(file, audiocodecs.WavAudio(stored.ulaw))
        return web.Response(body=file.getvalue(), content_type="audio/x-wav")


def _planned(status: int, code: int) -> RestError:
    return RestError(status, code, "Too Many Requests" if status == 429 else "Internal error")


def _basic(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _lists(pairs: Iterable[tuple[str, object]]) -> dict[str, list[str]]:
    """Every value of every name, in order."""
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(str(value))
    return lists
