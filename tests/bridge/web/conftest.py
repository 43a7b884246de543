"""The web application on a real socket, and a Twilio that signs what it sends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, fromstring

import aiohttp
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from yarl import URL

from bridge.config import Settings
from bridge.store.ledger import Ledger
from bridge.store.memory import MemoryLedger
from bridge.web.app import build_app
from bridge.web.server import HttpServer, bind

ACCOUNT = "AC" + "a" * 32
CALL = "CA" + "c" * 32
FLOW = "FW" + "f" * 32
TOKEN = "made-up-auth-token"
PUBLIC = "https://voice.example.com"
NOW = 1_700_000_000.0
ENVIRON = {
    "OPENAI_API_KEY": "sk-made-up",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "PUBLIC_URL": PUBLIC,
    "FALLBACK_URL": "https://ivr.example.com/today?menu=1&x=2",
}
INCOMING = {
    "CallSid": CALL,
    "AccountSid": ACCOUNT,
    "From": "+15550100001",
    "To": "+15550100002",
    "CallStatus": "ringing",
    "Direction": "inbound",
    "CallerName": "",
}


class OpenLine:
    """Holds no calls; says what the test wants it to say of itself."""

    def __init__(self) -> None:
        self.expected: list[str] = []
        self.reasons: list[str] = []
        self.live_calls = 0

    def expect_call(self, tenant: str) -> None:
        self.expected.append(tenant)

    def not_ready(self) -> list[str]:
        return self.reasons


class Told:
    """Remembers which tenants' calls went wrong."""

    def __init__(self) -> None:
        self.gone: list[str] = []
        self.failed: list[str] = []

    def lost(self, tenant: str) -> None:
        self.gone.append(tenant)

    def route_failed(self, tenant: str) -> None:
        self.failed.append(tenant)


@dataclass(frozen=True)
class Reply:
    status: int
    text: str
    content_type: str

    @property
    def xml(self) -> Element:
        assert (self.status, self.content_type) == (200, "text/xml"), self
        return fromstring(self.text)  # noqa: S314 - our own answer

    @property
    def verbs(self) -> list[str]:
        return [verb.tag for verb in self.xml]

    @property
    def redirect(self) -> str:
        """Where an answer that does nothing but redirect sends the call."""
        assert self.verbs == ["Redirect"], self.text
        return self.xml[0].text or ""


@dataclass
class Site:
    """A served application. ``post`` signs as Twilio does, unless told otherwise."""

    port: int
    http: aiohttp.ClientSession
    settings: Settings
    ledger: Ledger
    line: OpenLine
    fates: Told
    signer: RequestValidator = field(default_factory=lambda: RequestValidator(TOKEN))

    async def post(
        self,
        target: str,
        form: Mapping[str, str] | None = None,
        *,
        signed_as: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """``signed_as``: the address Twilio believes in."""
        form = INCOMING if form is None else form
        signature = self.signer.compute_signature(signed_as or f"{PUBLIC}{target}", form)
        return await self.send(
            "POST",
            target,
            urlencode(form).encode(),
            {"X-Twilio-Signature": signature, **(headers or {})},
        )

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        content = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        url = URL(f"http://127.0.0.1:{self.port}{target}", encoded=True)
        async with self.http.request(method, url, data=body, headers=content) as answer:
            return Reply(answer.status, await answer.text(), answer.content_type)


ServeSite: TypeAlias = Callable[..., Awaitable[Site]]


@asynccontextmanager
async def served(
    environ: Mapping[str, str],
    *,
    ledger: Ledger | None = None,
    insecure_local: bool = False,
    tenant_of: Callable[[str], str | None] = lambda _number: "acme",
) -> AsyncIterator[Site]:
    settings = Settings.from_env(environ, insecure_local=insecure_local)
    numbers = itertools.count(1)
    ledger = ledger or MemoryLedger(lambda: NOW, lambda: f"token-{next(numbers)}")
    line = OpenLine()
    told = Told()
    app = build_app(settings, ledger, line, clock=lambda: NOW, tenant_of=tenant_of, fates=told)
    sock = bind("127.0.0.1", 0)
    server = HttpServer(app, sock, ws_protocol=None)
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
        tasks.create_task(server.run_until_stopped())
        await server.listening()
        try:
            yield Site(sock.getsockname()[1], http, settings, ledger, line, told)
        finally:
            await http.close()
            server.stop()


@pytest.fixture
async def serve() -> AsyncIterator[ServeSite]:
    """Serves an application with changed settings: ``await serve(POOL_SIZE="0")``."""
    async with AsyncExitStack() as stack:

        async def start(
            *,
            ledger: Ledger | None = None,
            insecure_local: bool = False,
            tenant_of: Callable[[str], str | None] = lambda _number: "acme",
            **environ: str,
        ) -> Site:
            return await stack.enter_async_context(
                served(
                    ENVIRON | environ,
                    ledger=ledger,
                    insecure_local=insecure_local,
                    tenant_of=tenant_of,
                )
            )

        yield start


@pytest.fixture
async def site(serve: ServeSite) -> Site:
    return await serve()
