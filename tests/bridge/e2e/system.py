"""The whole system on loopback: caller, Twilio, bridge, store, model and a mail server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bridge.books import Books
from bridge.call.effects import Note
from bridge.config import Settings
from bridge.legs.runner import Services
from bridge.legs.switchboard import Switchboard
from bridge.outward import Outward
from bridge.settling import Settler
from bridge.store.bookkeeping import Bookkeeping, ProcessMeans
from bridge.store.ledger import HandoverReport, Ledger, StoredDecision
from bridge.store.outbox import Outbox, OutboxEntry
from bridge.store.prices import read_prices
from bridge.store.settings import StoreSettings
from bridge.store.store import Store
from bridge.store.stores import Stores, open_stores
from bridge.store.worker import WorkerPace
from bridge.tenants import tenants_of
from bridge.web.app import build_app
from bridge.web.server import HttpServer, bind
from bridge.web.signatures import upgrade_gate
from loadtest.realtime import (
    KnownCall,
    Scenario,
    SessionRecord,
    SimulatedRealtime,
    SimulatorOptions,
    parse_scenario,
)
from loadtest.realtime.lines import Line, LineLibrary
from loadtest.twilio import (
    CallEvent,
    CallResult,
    CallScript,
    Clip,
    Origins,
    PhoneNumber,
    SimulatedTwilio,
    Speak,
    StayOnLine,
    Step,
    WaitForStream,
)
from loadtest.twilio import Settings as TwilioSettings
from loadtest.twilio.line import CallLine
from tests.bridge.legs.audio import tone
from tests.dispatch.wires import Mailbox, mail_server

FILE = Path(__file__).parent / "acme.toml"
ACCOUNT = "AC" + "a" * 32
FLOW = "FW" + "f" * 32
WORKSPACE = "WS" + "4" * 32
AUTH_TOKEN = "made-up-auth-token"
PUBLIC = "https://voice.example.com"
CALLER = "+14155550142"
WAIT_S = 30.0
QUICKLY = WorkerPace(poll_s=0.05, first_retry_s=0.02, longest_retry_s=0.1)
LINES = LineLibrary(
    {name: Line(name, text, tone(length_ms, hz)) for name, text, length_ms, hz in (
        ("hello", "Hello, how can I help?", 200, 500),
        ("moment", "One moment please.", 300, 600),
        ("transfer", "I am transferring you now.", 200, 700),
        ("long", "Let me tell you all about it.", 5000, 800),
    )}
)  # fmt: skip


# --- what the model does --------------------------------------------------------------------


def model(
    *turns: Mapping[str, Any] | str, said: Sequence[str] = (), otherwise: str = "moment"
) -> Scenario:
    """Answers each turn of the caller with a tool call or a line; the last one again and again.

    ``said`` are the caller's words, turn by turn, ``otherwise`` is said to all else.
    """
    steps: list[dict[str, Any]] = [
        {"on": "turn", "turn": number, "do": [_action(turn)]}
        for number, turn in enumerate(turns[:-1], 1)
    ]
    steps.append({"on": "turn", "do": [_action(turns[-1])]})
    steps.append({"on": "otherwise", "do": [{"say": otherwise}]})
    return parse_scenario("test", {"step": steps, "caller_turns": list(said)})


def _action(turn: Mapping[str, Any] | str) -> dict[str, Any]:
    return {"say": turn} if isinstance(turn, str) else dict(turn)


def calls(tool: str, **arguments: object) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


def routes_to(intent: str, **changes: object) -> dict[str, Any]:
    """``route_call`` as a sensible model makes it."""
    arguments: dict[str, object] = {
        "intent": intent,
        "summary": "Was charged twice.",
        "confidence": 0.93,
        "sentiment": "negative",
        "language": "en-US",
        "urgency": "normal",
        "slots": {"name": "Rachel Kim", "callback": "415 555 0177"},
    }
    return calls("route_call", **{**arguments, **changes})


# --- the system -----------------------------------------------------------------------------

TURN = Speak(Clip.of(tone(300)))
MESSAGE = Clip.of(tone(500, 350))


@dataclass
class System:
    """Everything that a test looks at."""

    twilio: SimulatedTwilio
    realtime: SimulatedRealtime
    settings: Settings
    ledger: Ledger
    store: Store
    books: Bookkeeping
    outward: Outward
    outbox: Outbox
    mailbox: Mailbox
    database: Path
    notes: list[tuple[str, float, Note]] = field(default_factory=list)
    hooks: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What is done when a call notes something of this kind."""
    _noted: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, *steps: Step, **script: Any) -> CallResult:  # noqa: ANN401
        """One call, to its end; by default the caller says one thing and waits."""
        told = steps or (WaitForStream(), TURN, StayOnLine(25_000))
        fields: dict[str, Any] = {"from_number": CALLER, "record": False, "max_call_ms": 28_000}
        made = CallScript(steps=told, **{**fields, **script})
        async with asyncio.TaskGroup() as voices:
            return await self.twilio.place_call(made, lambda event: self._speak(event, voices))

    async def call_again_and_again(self, **script: Any) -> CallResult:  # noqa: ANN401
        """The caller says one thing on each stream that is opened."""
        fields: dict[str, Any] = {"from_number": CALLER, "record": False, "max_call_ms": 28_000}
        made = CallScript(steps=(StayOnLine(25_000),), **{**fields, **script})
        async with asyncio.TaskGroup() as voices:

            def observe(event: CallEvent) -> None:
                if event.kind == "stream_started":
                    voices.create_task(self._line(event).speak(TURN.clip))

            return await self.twilio.place_call(made, observe)

    def _speak(self, event: CallEvent, voices: asyncio.TaskGroup) -> None:
        """Whoever is asked for a message leaves one."""
        if (event.kind, event.data.get("verb")) == ("verb", "Record"):
            voices.create_task(self._line(event).speak(MESSAGE))

    def _line(self, event: CallEvent) -> CallLine:
        record = self.twilio.exchange.directory.call(event.call_sid)
        assert record is not None
        assert record.leg is not None
        return record.leg.line

    async def decision(self, call: CallResult, hop: int = 0) -> StoredDecision:
        decision = await self.ledger.decision(call.call_sid, hop)
        assert decision is not None
        return decision

    async def reports(self, call: CallResult) -> Sequence[HandoverReport]:
        return await self.ledger.reports(call.call_sid, 0)

    async def delivered(self, call: CallResult, count: int) -> list[OutboxEntry]:
        """Once all side effects of a call are settled; oldest first."""
        async with asyncio.timeout(WAIT_S):
            while True:
                settled = await self.outbox.entries(("done", "dead"), 50, call.call_sid)
                if len(settled) >= count:
                    return settled[::-1]
                await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def locked_from(self, kind: str) -> Iterator[None]:
        """Another program holds the database's write lock from this note on."""
        release = threading.Event()

        def hold() -> None:
            with contextlib.closing(sqlite3.connect(self.database, timeout=10)) as other:
                other.execute("BEGIN IMMEDIATE")
                release.wait(30)
                other.rollback()

        program = threading.Thread(target=hold)
        self.hooks[kind] = program.start
        yield
        release.set()
        program.join()

    def note(self, call_sid: str, at: float, note: Note) -> None:
        self.notes.append((call_sid, at, note))
        self._noted.set()
        hook = self.hooks.pop(note.kind, None)
        if hook is not None:
            hook()

    def session(self, number: int = 0) -> SessionRecord:
        return self.realtime.sessions[number]

    @property
    def port(self) -> int:
        return self.settings.web.port

    async def noted(self, kind: str) -> Note:
        """The first note of this kind, which may still be to come."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for _, _, note in self.notes:
                    if note.kind == kind:
                        return note
                self._noted.clear()
                await self._noted.wait()


@contextlib.asynccontextmanager
async def running(
    scenario: Scenario | Callable[[int], Scenario],
    folder: Path,
    *,
    file: str | None = None,
    known_calls: Sequence[KnownCall] = (),
    twilio: Mapping[str, Any] | None = None,
    model_options: Mapping[str, Any] | None = None,
    **environ: str,
) -> AsyncIterator[System]:
    """``file`` is a triage file's text, ``twilio`` and ``model_options`` change the simulators.

    The model follows ``scenario``, or that of one of ``known_calls`` whose recording it hears.
    """
    triage = folder / "acme.toml"
    triage.write_text(file or FILE.read_text(encoding="utf-8"), encoding="utf-8")
    fitted: dict[str, Any] = {"profile": "instant", "lines": LINES, **(model_options or {})}
    options = SimulatorOptions(scenario=scenario, known_calls=known_calls, **fitted)
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    origins = Origins({PUBLIC: f"http://127.0.0.1:{port}"})
    fields: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": AUTH_TOKEN,
        "workspace_sid": WORKSPACE,
        "origins": origins,
        "say_ms_per_word": 0,
        **(twilio or {}),
    }
    simulated = SimulatedTwilio(
        TwilioSettings(**fields), PhoneNumber(f"{PUBLIC}/voice"), random.Random(1)
    )
    async with (
        SimulatedRealtime(options) as realtime,
        simulated,
        mail_server(Mailbox()) as mailbox,
    ):
        env = {
            "OPENAI_API_KEY": "sk-made-up",
            "REALTIME_URL": realtime.url,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_REST_URL": simulated.rest_url,
            "SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "SMTP_FROM": "triage@acme.example",
            "CRM_TOKEN": "crm-secret",
            "PUBLIC_URL": PUBLIC,
            "ENTRY": "studio",
            "STUDIO_FLOW_SID": FLOW,
            "TRIAGE_FILE": str(triage),
            "GREETING_CACHE": str(folder / "lines"),
            "POOL_SIZE": "0",
            **environ,
        }
        settings = Settings.from_env(env, port=port)
        stores = await open_stores(_database(folder), ["acme"], time.time)
        try:
            async with _serving(settings, stores, sock, (simulated, realtime, mailbox)) as system:
                yield system
        finally:
            await stores.close()


def _database(folder: Path) -> StoreSettings:
    return StoreSettings(SecretStr(f"sqlite:///{folder / 'calls.db'}"))


@contextlib.asynccontextmanager
async def _serving(
    settings: Settings,
    stores: Stores,
    sock: socket.socket,
    others: tuple[SimulatedTwilio, SimulatedRealtime, Mailbox],
) -> AsyncIterator[System]:
    tenants = tenants_of(settings)
    outward = Outward(settings, tenants, random.Random(1))
    books = Bookkeeping(
        stores,
        StoreSettings(SecretStr("")),
        read_prices(),
        outward.perform,
        ProcessMeans("test", time.time, random.Random(1), lambda: secrets.token_urlsafe(24)),
        pace=QUICKLY,
    )
    twilio, realtime, mailbox = others
    outbox = Outbox(stores.default, time.time)
    database = Path(stores.default.database.url.database or "")
    system = System(
        twilio,
        realtime,
        settings,
        books.ledger,
        stores.default,
        books,
        outward,
        outbox,
        mailbox,
        database,
    )
    settler = Settler(
        settings,
        books.ledger,
        time.time,
        lookups=outward.lookups,
        rest=outward.rest,
        effects_written=books.nudge,
    )

    def observe(call_sid: str) -> Callable[[float, Note], None]:
        return lambda at, note: system.note(call_sid, at, note)

    services = Services(settler, observe, keep_record=books.keep_record)
    switchboard = Switchboard(settings, tenants, books.ledger, upgrade_gate(settings), services)
    app = build_app(
        settings,
        books.ledger,
        switchboard,
        clock=time.time,
        tenant_of=lambda _number: "acme",
        effects_written=books.nudge,
        records=Books(stores, books, "test"),
    )
    server = HttpServer(app, sock, switchboard.ws_protocol)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(books.run(), name="books")
        tasks.create_task(server.run_until_stopped(), name="http")
        await switchboard.start()
        await server.listening()
        try:
            yield system
        finally:
            await switchboard.close()
            server.stop()
            books.stop()
            await outward.close()
