"""What triage talks to, on real sockets: Twilio's REST side, a mail server, a look-up service."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import default

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from dispatch.context import CallContext, Turn
from dispatch.decision import Decision, decide
from dispatch.envelope import Envelope as CallEnvelope
from dispatch.envelope import seal
from dispatch.outcome import RouteRequested
from dispatch.policy import TenantPolicy
from dispatch.rest import TwilioRest
from dispatch.rest_client import RestClient, RestPace, RestSettings
from loadtest.twilio import Settings, SimulatedTwilio

ACCOUNT = "AC00000000000000000000000000000001"
WORKSPACE = "WS00000000000000000000000000000001"
AUTH_TOKEN = "made-up-auth-token"
NOW = dt.datetime(2026, 8, 12, 13, 12, tzinfo=dt.UTC)
QUICK = RestPace(deadline_s=5.0, tries=3, first_wait_s=0.001, longest_wait_s=0.002)


@contextlib.asynccontextmanager
async def twilio(**settings: object) -> AsyncIterator[SimulatedTwilio]:
    fields = {"account_sid": ACCOUNT, "auth_token": AUTH_TOKEN, "workspace_sid": WORKSPACE}
    made = Settings(**{**fields, **settings})  # type: ignore[arg-type]
    async with SimulatedTwilio(made, rng=random.Random(1)) as simulated:
        yield simulated


@contextlib.asynccontextmanager
async def rest_of(
    url: str, pace: RestPace = QUICK, password: str = AUTH_TOKEN, username: str = ACCOUNT
) -> AsyncIterator[TwilioRest]:
    """Our client towards whatever listens at ``url``."""
    settings = RestSettings(ACCOUNT, username, SecretStr(password), url)
    client = RestClient(settings, random.Random(1), pace)
    try:
        yield TwilioRest(client)
    finally:
        await client.close()


# --- a decided call -------------------------------------------------------------------------


def decided(
    policy: TenantPolicy, call: CallContext, intent: str = "billing", **requested: object
) -> tuple[Decision, CallEnvelope]:
    """What the model asked for, decided and sealed."""
    fields: dict[str, object] = {
        "intent": intent,
        "summary": "Was charged twice for the visit on Monday.",
        "confidence": 0.91,
        "slots": {"name": "Rachel Kim", "callback": "+14155550177"},
    }
    outcome = RouteRequested(**{**fields, **requested})  # type: ignore[arg-type]
    decision = decide(outcome, call, policy)
    envelope = seal(decision, outcome, call, policy, reference="TR-20260812-0042", decided_at=NOW)
    return decision, envelope


SAID = (
    Turn("assistant", "Thank you for calling. How can I help you today?"),
    Turn("caller", "I was charged twice."),
)


# --- mail -----------------------------------------------------------------------------------


@dataclass
class Mailbox:
    """A mail server. ``refuse`` is its answer to every message, where there is one."""

    port: int = 0
    refuse: str = ""
    taken: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append(BytesParser(policy=default).parsebytes(content))
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    def log_in(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        return AuthResult(success=login == ("triage", "secret"), handled=False)


@contextlib.asynccontextmanager
async def mail_server(mailbox: Mailbox, **options: object) -> AsyncIterator[Mailbox]:
    """aiosmtpd, on a plain event loop of its own.

    It leaves writers to the garbage collector, which may run in any thread, and not every loop's
    transports bear that.
    """
    loop = asyncio.SelectorEventLoop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> asyncio.Server:
        return await loop.create_server(
            lambda: SMTP(mailbox, loop=loop, hostname="mail.example", **options),  # type: ignore[arg-type]
            "127.0.0.1",
            0,
        )

    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


# --- a look-up service ----------------------------------------------------------------------

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """An operator's HTTP service; ``asked`` holds what came."""

    answer: Answer
    url: str = ""
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.text())
        return await self.answer(request)


@contextlib.asynccontextmanager
async def service(answer: Answer) -> AsyncIterator[Service]:
    made = Service(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def says(body: str | bytes, status: int = 200, headers: Mapping[str, str] = {}) -> Answer:
    """A service that always answers the same."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, status=status, headers=headers)

    return answer


@contextlib.asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Something that is hardly a server."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def free_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def variables(**values: str) -> Mapping[str, SecretStr]:
    return {name: SecretStr(value) for name, value in values.items()}
