"""The simulated OpenAI Realtime server: many sessions on one port, each following a scenario."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeAlias

from picows import WSListener, WSUpgradeRequest, ws_create_server

from . import admission
from .admission import Rejection
from .beta import BetaDialect
from .callbook import CallBook, KnownCall
from .connection import CLOSE_TIMEOUT_S, MAX_MESSAGE_BYTES, Connection
from .controls import SessionControls
from .conversation import Conversation
from .faults import NO_FAULTS, FaultPlan
from .latency import LatencyProfile, profile
from .lines import LineLibrary, assistant_lines
from .record import SessionRecord
from .scenario import Scenario
from .scenario_file import load_scenario
from .script import Script
from .session import RealtimeSession
from .settings import MODELS, SessionSettings
from .slow_door import SlowDoor
from .stage import Stage, Timers
from .tap import TapMaker

SESSION_TTL_S = 3600.0
BACKLOG = 4096

ScenarioChoice: TypeAlias = str | Scenario | Callable[[int], str | Scenario]
"""For all sessions, or by the number of the connection (from 0)."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulated server behaves; everything has a default.

    ``scenario`` is a shipped name, a path to a TOML file, a Scenario, or a function of the
    session's number; ``[scenario:NAME]`` in a session's instructions and a recording recognised
    from ``known_calls`` go before it.
    """

    scenario: ScenarioChoice = "reactive"
    profile: str | LatencyProfile = "typical"
    seed: int = 0
    faults: FaultPlan | Callable[[int], FaultPlan] = NO_FAULTS
    accept_delay_ms: int = 0
    """Connections are accepted at once but their upgrade is answered this much later."""
    session_ttl_s: float = SESSION_TTL_S
    api_keys: Collection[str] | None = None
    """Keys that are let in; None lets any in."""
    models: Collection[str] = MODELS
    dialect: Literal["ga", "beta"] = "ga"
    """``beta`` serves clients that send ``OpenAI-Beta: realtime=v1`` on the wire of the beta, and
    everybody else as before; ``ga`` refuses them, as the real API does now."""
    strict: bool = False
    """Check appended audio events too against the typed models (control events always are)."""
    keep_events: bool = True
    """Keep whole events for inspection; switch off for load."""
    known_calls: Iterable[KnownCall] = ()
    lines: LineLibrary | None = None
    """Instead of the lines that are shipped."""
    tap: TapMaker | None = None
    """For load tests: who listens to each session."""


@dataclass(slots=True)
class ConnectionCounts:
    """Of connections since the start."""

    open: int = 0
    total: int = 0
    rejected: int = 0
    peak: int = 0


class SimulatedRealtime:
    """``async with SimulatedRealtime(SimulatorOptions(...)) as server:`` serves within the block.

    Afterwards every session is closed and nothing is left behind; the records stay readable.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.options = options or SimulatorOptions()
        self.sessions: list[SessionRecord] = []
        """One for each connection that was let in, in order."""
        self.connections = ConnectionCounts()
        self._profile = (
            profile(self.options.profile)
            if isinstance(self.options.profile, str)
            else self.options.profile
        )
        self._lines = self.options.lines or assistant_lines()
        calls = tuple(self.options.known_calls)
        self._callbook = CallBook(calls) if calls else None
        self._host, self._port, self._tls = host, port, tls
        self._server: asyncio.Server | None = None
        self._door: SlowDoor | None = None
        self._live: dict[SessionRecord, Connection] = {}
        self._changed = asyncio.Event()
        self._scenario(0)  # an unknown name or line is told before anything listens

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """For clients that add ``?model=...`` themselves."""
        scheme = "ws" if self._tls is None else "wss"
        return f"{scheme}://{self._host}:{self._port}{admission.PATH}"

    async def __aenter__(self) -> Self:
        delay_ms, wanted = self.options.accept_delay_ms, self._port
        self._server = await ws_create_server(
            self._admit,
            self._host,
            0 if delay_ms else wanted,
            ssl=self._tls,
            backlog=BACKLOG,
            max_frame_size=MAX_MESSAGE_BYTES,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        if delay_ms:
            self._door = SlowDoor(delay_ms / 1000, self._host, self._port)
            self._port = await self._door.open(wanted)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        server = self._server
        if server is None:
            return
        server.close()
        if self._door is not None:
            await self._door.close()
        for connection in list(self._live.values()):
            connection.close(1001, "server is going away")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._until(lambda: not self._live)
        except TimeoutError:
            for connection in list(self._live.values()):
                connection.reset()
            await self._until(lambda: not self._live)
        await server.wait_closed()

    # --- inspection -----------------------------------------------------------------------------

    async def session(self, index: int = 0, timeout_s: float = 10.0) -> SessionRecord:
        """The record of the n-th connection (from 0), as soon as there is one."""
        async with asyncio.timeout(timeout_s):
            await self._until(lambda: len(self.sessions) > index)
        return self.sessions[index]

    def controls(self, record: SessionRecord) -> SessionControls:
        """Faults on demand for a live session; KeyError once it is over."""
        return SessionControls(self._live[record].session)

    async def wait_idle(self, timeout_s: float = 10.0) -> None:
        """Until no connection is open."""
        async with asyncio.timeout(timeout_s):
            await self._until(lambda: not self._live)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    # --- connections ----------------------------------------------------------------------------

    def _admit(self, request: WSUpgradeRequest) -> WSListener | None:
        if not admission.is_for_us(request):
            return None
        options = self.options
        rejection = admission.rejection(
            request, options.api_keys, options.models, beta_served=options.dialect == "beta"
        )
        index = len(self.sessions)
        scenario = self._scenario(index)
        loop = asyncio.get_running_loop()
        rng = random.Random(f"{self.options.seed}:{index}")
        record = SessionRecord(
            index=index,
            session_id=f"sess_{rng.getrandbits(84):021x}",
            model=admission.model_of(request),
            scenario=scenario.name,
            opened_s=loop.time(),
            keep_events=self.options.keep_events,
        )
        connection = Connection(
            record, loop.time, lambda made: self._opened(made, rejection), self._closed
        )
        dialect = BetaDialect() if admission.wants_beta(request) else None
        connection.session = self._session(connection, record, scenario, rng, dialect)
        if connection.session.stage.faults.refuse_key:
            rejection = rejection or admission.WRONG_KEY
        if rejection is None:
            self.sessions.append(record)
        return connection

    def _session(
        self,
        wire: Connection,
        record: SessionRecord,
        scenario: Scenario,
        rng: random.Random,
        dialect: BetaDialect | None,
    ) -> RealtimeSession:
        loop = asyncio.get_running_loop()
        faults = self.options.faults
        if callable(faults):
            faults = faults(record.index)
        expires_at = int(time.time() + self.options.session_ttl_s)
        stage = Stage(
            clock=loop,
            timers=Timers(loop),
            rng=rng,
            wire=wire,
            profile=self._profile,
            lines=self._lines,
            faults=scenario.faults if faults is NO_FAULTS else faults,
            settings=SessionSettings(record.session_id, record.model, expires_at),
            conversation=Conversation(f"conv_{rng.getrandbits(84):021x}"),
            script=Script(scenario),
            record=record,
            dialect=dialect,
            tap=None if self.options.tap is None else self.options.tap(record),
        )
        return RealtimeSession(
            stage, self._checked_scenario, self._callbook, strict=self.options.strict
        )

    def _opened(self, connection: Connection, rejection: Rejection | None) -> None:
        self._live[connection.record] = connection
        self.connections.total += 1
        self.connections.open = len(self._live)
        self.connections.peak = max(self.connections.peak, self.connections.open)
        self._changed.set()
        session = connection.session
        if rejection is None:
            session.open(self.options.session_ttl_s)
        else:
            self.connections.rejected += 1
            session.fail(rejection.refusal, rejection.close_code, rejection.close_reason)

    def _closed(self, connection: Connection) -> None:
        self._live.pop(connection.record, None)
        appended_ms = connection.session.input.appended_ms
        connection.record.appended_clock_ms = lambda: appended_ms  # lets go of the session
        self.connections.open = len(self._live)
        self._changed.set()

    # --- scenarios ------------------------------------------------------------------------------

    def _scenario(self, index: int) -> Scenario:
        choice = self.options.scenario
        if callable(choice):
            choice = choice(index)
        return self._checked_scenario(choice)

    def _checked_scenario(self, choice: str | Scenario) -> Scenario:
        """A scenario all of whose lines there are."""
        scenario = load_scenario(choice) if isinstance(choice, str) else choice
        for line in sorted(scenario.lines - self._lines.names):
            self._lines.text(line)  # raises, and says which lines there are
        return scenario
