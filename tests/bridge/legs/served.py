"""The bridge as it serves: uvicorn and picows on one port, a ledger, and whoever watches calls."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlencode
from xml.etree.ElementTree import Element, fromstring

import aiohttp
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from audiocodecs import WavAudio, write_wav
from bridge.call.effects import Note
from bridge.config import Settings
from bridge.legs.runner import Call, Hands, Services
from bridge.legs.switchboard import Switchboard
from bridge.lines import line_key
from bridge.settling import Settler
from bridge.store.ledger import Ledger, StoredDecision
from bridge.store.memory import MemoryLedger
from bridge.tenants import tenants_of
from bridge.web.app import build_app
from bridge.web.server import HttpServer, bind
from bridge.web.signatures import upgrade_gate
from tests.bridge.legs.audio import tone

WAIT_S = 30.0
"""No single thing that a test waits for takes longer on a loaded machine."""
ACCOUNT = "AC" + "a" * 32
FLOW = "FW" + "f" * 32
AUTH_TOKEN = "made-up-auth-token"
PUBLIC = "https://voice.example.com"
MEDIA = "wss://voice.example.com/media"
GREETING = "Hello, how can I help?"
GREETING_ULAW = tone(300)
ENVIRON = {
    "OPENAI_API_KEY": "sk-made-up",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "PUBLIC_URL": PUBLIC,
    "ENTRY": "studio",
    "STUDIO_FLOW_SID": FLOW,
    "VAD_SILENCE_MS": "200",
    "POOL_SIZE": "0",
    "GREETING": "",
}


class Watcher:
    """Keeps what every call notes."""

    def __init__(self) -> None:
        self.notes: defaultdict[str, list[tuple[float, Note]]] = defaultdict(list)
        self._changed = asyncio.Event()

    def observe(self, call_sid: str) -> Callable[[float, Note], None]:
        def take(at: float, note: Note) -> None:
            self.notes[call_sid].append((at, note))
            self._changed.set()

        return take

    def of(self, call_sid: str, kind: str) -> list[Note]:
        return [note for _, note in self.notes[call_sid] if note.kind == kind]

    async def until(
        self, call_sid: str, kind: str, count: int = 1, within_s: float = WAIT_S
    ) -> Note:
        """The ``count``-th note of this kind."""
        try:
            async with asyncio.timeout(within_s):
                while len(found := self.of(call_sid, kind)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            came = [note.kind for _, note in self.notes[call_sid]]
            raise AssertionError(f"no {kind} number {count}; came: {came}") from None
        return found[count - 1]


class Witness:
    """Stands before the real hands and keeps each call that they settled."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self.calls: dict[str, Call] = {}

    async def settle(self, call: Call) -> None:
        self.calls[call.start.call_sid] = call
        await self._hands.settle(call)

    async def run_tool(self, call: Call, name: str, arguments: Mapping[str, object]) -> str:
        return await self._hands.run_tool(call, name, arguments)


@dataclass(frozen=True)
class Invitation:
    """What the voice webhook answered: where the stream goes and what it brings along."""

    call_sid: str
    url: str
    parameters: Mapping[str, str]
    action: str


@dataclass
class ServedBridge:
    """``dial`` and ``after`` are Twilio's webhooks, signed."""

    settings: Settings
    port: int
    ledger: Ledger
    switchboard: Switchboard
    watcher: Watcher
    settled: dict[str, Call]
    http: aiohttp.ClientSession
    signer: RequestValidator = field(default_factory=lambda: RequestValidator(AUTH_TOKEN))

    async def post(self, target: str, form: Mapping[str, str]) -> Element:
        signature = self.signer.compute_signature(f"{PUBLIC}{target}", form)
        headers = {
            "X-Twilio-Signature": signature,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"http://127.0.0.1:{self.port}{target}"
        async with self.http.post(url, data=urlencode(form), headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "text/xml"), answer
            return fromstring(await answer.text())  # noqa: S314 - our own answer

    async def dial(self, call_sid: str | None = None) -> Invitation:
        """A call comes in; it is to go to the AI."""
        call_sid = call_sid or "CA" + secrets.token_hex(16)
        document = await self.post("/voice", self._form(call_sid))
        connect, stream = document[0], document[0][0]
        assert [connect.tag, stream.tag] == ["Connect", "Stream"]
        given = {str(one.get("name")): str(one.get("value")) for one in stream}
        action = urldefrag(str(connect.get("action"))).url.removeprefix(PUBLIC)
        return Invitation(call_sid, str(stream.get("url")), given, action)

    def invite_by_bin(self, **parameters: str) -> Invitation:
        """A call from a static TwiML Bin: no webhook of ours was asked, so there is no token."""
        return Invitation("CA" + secrets.token_hex(16), MEDIA, parameters, "/after")

    async def after(self, invitation: Invitation) -> str:
        """The stream is over: the URL that Twilio is sent to."""
        document = await self.post(invitation.action, self._form(invitation.call_sid))
        assert document[0].tag == "Redirect"
        return document[0].text or ""

    def _form(self, call_sid: str) -> dict[str, str]:
        return {
            "CallSid": call_sid,
            "AccountSid": ACCOUNT,
            "From": "+15550100001",
            "To": "+15550100002",
            "CallStatus": "in-progress",
            "Direction": "inbound",
        }

    async def ended(self, call_sid: str) -> str:
        """Wait for the end of a call; why it ended."""
        note = await self.watcher.until(call_sid, "ended")
        await self.idle()
        return str(note.fields["reason"])

    async def decided(self, call_sid: str) -> StoredDecision:
        """What was written for this call, once it is over."""
        await self.ended(call_sid)
        decision = await self.ledger.decision(call_sid)
        assert decision is not None
        return decision

    async def idle(self) -> None:
        """Until no call runs."""
        await self._until(lambda: self.switchboard.live_calls == 0)

    async def pool_ready(self, count: int) -> None:
        """Until so many model sessions are ready."""
        await self._until(lambda: self.switchboard.warm_sessions == count)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            # Nobody tells of these; they are looked at as a health page would.
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Wanted:
    """How a bridge is to be: fields of ``CallLimits`` and environment variables that differ."""

    limits: Mapping[str, float] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    insecure_local: bool = False

    def settings(self, model_url: str, port: int) -> Settings:
        env = {} if self.insecure_local else ENVIRON
        env = env | {"REALTIME_URL": model_url} | dict(self.environ)
        settings = Settings.from_env(env, port=port, insecure_local=self.insecure_local)
        changed: dict[str, Any] = dict(self.limits)
        return replace(settings, call=replace(settings.call, **changed))


def memory_ledger() -> MemoryLedger:
    return MemoryLedger(time.time, lambda: secrets.token_urlsafe(24))


def keep_line(folder: Path, text: str, ulaw: bytes) -> None:
    """Put a line into the cache, as if the model had said it before."""
    write_wav(folder / f"{line_key('marin', 'gpt-realtime-2.1', text)}.wav", WavAudio(ulaw))


@contextlib.asynccontextmanager
async def serve_bridge(
    model_url: str, wanted: Wanted, ledger: Ledger | None = None
) -> AsyncIterator[ServedBridge]:
    """A bridge on a port of its own, until the block ends."""
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    settings = wanted.settings(model_url, port)
    ledger = ledger or memory_ledger()
    watcher = Watcher()
    hands = Witness(Settler(settings, ledger, time.time))
    switchboard = Switchboard(
        settings,
        tenants_of(settings),
        ledger,
        upgrade_gate(settings),
        Services(hands, watcher.observe),
    )
    app = build_app(settings, ledger, switchboard, clock=time.time)
    server = HttpServer(app, sock, switchboard.ws_protocol)
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
        tasks.create_task(server.run_until_stopped(), name="http")
        await switchboard.start()
        await server.listening()
        try:
            yield ServedBridge(settings, port, ledger, switchboard, watcher, hands.calls, http)
        finally:
            await switchboard.close()
            await http.close()
            server.stop()
